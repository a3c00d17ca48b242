"""Time limits, and the timer for them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from posthouse.answers import Stage


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, in seconds (RFC 5321 section 4.5.3.2)."""

    connect: float = 30  # our own: a host that drops packets takes up a place on the wire no longer
    tls: float = 60
    command: float = 300  # greeting, EHLO, STARTTLS, MAIL, RCPT
    kept: float = 30  # our own: first sign of life on a kept connection; then a new one is tried
    data: float = 120
    block: float = 180  # between two signs that the server takes in what we write
    dot: float = 600  # "when the final dot is sent, it should be at least 10 minutes"
    quit: float = 5  # our own: nothing depends on the reply

    def of(self, stage: Stage) -> float:
        """How long the reply of *stage* may take."""
        seconds: float = getattr(self, _NAMES.get(stage, "command"))
        return seconds


_NAMES = {Stage.DATA: "data", Stage.DOT: "dot", Stage.QUIT: "quit"}


class Deadline:
    """One timer for all waits of a connection: putting it off costs nothing.

    It looks again when it rings.
    """

    def __init__(self, on_passed: Callable[[], None]) -> None:
        self._on_passed = on_passed
        self._loop = asyncio.get_running_loop()
        self._at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def allow(self, seconds: float) -> None:
        """Time is up *seconds* from now."""
        self._at = self._loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= self._at:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(self._at, self._ring)

    def cancel(self) -> None:
        """Time is never up."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        if self._loop.time() < self._at:
            self._timer = self._loop.call_at(self._at, self._ring)
        else:
            self._on_passed()
