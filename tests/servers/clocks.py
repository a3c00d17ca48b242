"""Clocks that a test moves, or that move by themselves without anybody waiting."""

import asyncio
import selectors
from collections.abc import Sequence


class Clock:
    """Stands still until `now` is set."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


class TimelessLoop(asyncio.SelectorEventLoop):
    """No time passes while anything is left to do; then all of it, until the next timer, at once.

    So a limit of time is met to the moment, on any machine. For tests whose tasks wait for each
    other and for timers only: who hears from another thread or process is always late.
    """

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Impatient(self))

    def time(self) -> float:
        """Seconds since it was made."""
        return self._now

    def stand_still(self, seconds: float) -> None:
        """Let that time pass although there is something to do, as where a machine is too busy."""
        self._now += seconds


class _Impatient(selectors.DefaultSelector):
    def __init__(self, loop: TimelessLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Sequence[tuple[selectors.SelectorKey, int]]:  # type: ignore[override]
        found = super().select(None if timeout is None else 0)
        if timeout is not None and not found:
            self._loop.stand_still(timeout)
        return found
