"""How long each phase of a delivery takes."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from posthouse.running.loop_histogram import LoopHistogram
from posthouse.running.traces import Phase

PHASES = LoopHistogram(
    "posthouse_delivery_phase_seconds",
    "How long a phase of a delivery took, also where it failed.",
    ["phase"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)

_noted: ContextVar[list[Phase] | None] = ContextVar("noted_phases", default=None)


class PhaseObserver:
    """Observes one phase; in a task that notes its phases it is noted as well."""

    __slots__ = ("_name", "_observations")

    def __init__(self, name: str) -> None:
        self._name = name
        self._observations = PHASES.labels(name)

    def observe(self, began: float, ended: float) -> None:
        """It took from *began* to *ended*, readings of `time.perf_counter`."""
        self._observations.observe(ended - began)
        if (noted := _noted.get()) is not None:
            noted.append(Phase(self._name, began, ended))


# Of a new name or connection; what is remembered or kept costs nothing and is not observed. The
# opening is all that is said until a message may go: greeting, TLS, EHLO and a login.
DNS, CONNECT, TLS, OPENING = map(PhaseObserver, ("dns", "connect", "tls", "opening"))
# Of each message.
MAIL, DATA = map(PhaseObserver, ("mail", "data"))


@contextmanager
def noted_phases() -> Iterator[list[Phase]]:
    """What this task does inside, as it ends; tasks that it starts meanwhile note theirs, too."""
    noted: list[Phase] = []
    before = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(before)


@contextmanager
def timed(phase: PhaseObserver) -> Iterator[None]:
    """Observe how long what is inside takes."""
    began = time.perf_counter()
    try:
        yield
    finally:
        phase.observe(began, time.perf_counter())


class NotedAttempt(NamedTuple):
    """An attempt that has its answer; readings of `time.perf_counter`."""

    phases: Sequence[Phase]
    began: float
    ended: float


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
        MAIL.observe(self._began, self._content or now)
        if self._content:
            DATA.observe(self._content, now)
