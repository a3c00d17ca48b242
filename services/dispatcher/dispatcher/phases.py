"""How long each phase of a delivery takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from posthouse.running.loop_histogram import LoopHistogram, Observations

PHASES = LoopHistogram(
    "posthouse_delivery_phase_seconds",
    "How long a phase of a delivery took, also where it failed.",
    ["phase"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)

# Of a new name or connection; what is remembered or kept costs nothing and is not observed. The
# opening is all that is said until a message may go: greeting, TLS, EHLO and a login.
DNS, CONNECT, TLS, OPENING = map(PHASES.labels, ("dns", "connect", "tls", "opening"))
# Of each message.
MAIL, DATA = map(PHASES.labels, ("mail", "data"))


@contextmanager
def timed(phase: Observations) -> Iterator[None]:
    """Observe how long what is inside takes."""
    began = time.perf_counter()
    try:
        yield
    finally:
        phase.observe(time.perf_counter() - began)


class MessageTimes:
    """Observes the phases of one message after the other over one connection."""

    __slots__ = ("_began", "_content")

    def __init__(self) -> None:
        self._began = self._content = 0.0

    def begin(self) -> None:
        """The first command is sent."""
        self._began, self._content = time.perf_counter(), 0.0

    def content(self) -> None:
        """The server lets us send the content."""
        self._content = time.perf_counter()

    def end(self) -> None:
        """The server has answered, or the connection was lost."""
        now = time.perf_counter()
        MAIL.observe((self._content or now) - self._began)
        if self._content:
            DATA.observe(now - self._content)
