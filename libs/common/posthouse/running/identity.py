"""Ids that sort by the time they were made: UUIDv7 (RFC 9562 section 5.7)."""

import os
import struct
import time
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, SafeUUID

_VERSION_AND_VARIANT = (0x7 << 76) | (0b10 << 62)
_UNKNOWN = SafeUUID.unknown
_SIXTY_TWO_BITS = (1 << 62) - 1
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# How far the clock may be set back before new ids follow it. Within this they go on counting up;
# beyond it they would name partitions of a day that the clock has left.
_TOLERATED_STEP_BACK = 10_000 << 12


class _Clock:
    """Time in steps of 1/4096 millisecond that never repeats a value."""

    def __init__(self) -> None:
        self._last = 0

    def tick(self) -> int:
        """Milliseconds since 1970 in the upper 48 bits, the fraction in the lower 12."""
        now = (time.time_ns() << 12) // 1_000_000
        if now <= self._last < now + _TOLERATED_STEP_BACK:
            now = self._last + 1
        self._last = now
        return now


class _Chance:
    """Numbers of 64 random bits from the operating system, asked for in blocks.

    For each id a system call, and giving up the interpreter to other threads, would cost more
    than all the rest of it.
    """

    _BLOCK = struct.Struct("=512Q")

    def __init__(self) -> None:
        self._numbers: list[int] = []
        # A child must not hand out what its parent will.
        os.register_at_fork(after_in_child=self._numbers.clear)

    def draw(self) -> int:
        """A number that is never given out again."""
        try:
            return self._numbers.pop()  # safe between threads: one call into the interpreter
        except IndexError:
            self._numbers.extend(self._BLOCK.unpack(os.urandom(self._BLOCK.size)))
            return self._numbers.pop()


_clock = _Clock()
_chance = _Chance()


def new_id() -> UUID:
    """A new UUIDv7; within a thread each sorts after the one before it.

    The 12 bits after the milliseconds hold their fraction (RFC 9562 section 6.2, method 3), the
    last 62 come from the operating system and do not repeat after a fork.
    """
    ticks = _clock.tick()
    upper = ((ticks >> 12) << 80) | ((ticks & 0xFFF) << 64)
    return _uuid(upper | _VERSION_AND_VARIANT | (_chance.draw() & _SIXTY_TWO_BITS))


def _uuid(number: int) -> UUID:
    # What UUID(int=number) does, without its checks: they take as long as all the rest of an id.
    made = object.__new__(UUID)
    object.__setattr__(made, "int", number)
    object.__setattr__(made, "is_safe", _UNKNOWN)
    return made


def day_of(id_: UUID) -> date:
    """The day (UTC) on which a UUIDv7 was made, by the clock of its maker."""
    return (_UNIX_EPOCH + timedelta(milliseconds=id_.int >> 80)).date()


def earliest_id(when: datetime) -> UUID:
    """The smallest UUIDv7 of the millisecond *when* (aware): a bound for partitions and ranges."""
    seconds = int(when.timestamp() // 1)
    milliseconds = seconds * 1000 + when.microsecond // 1000
    return UUID(int=(milliseconds << 80) | _VERSION_AND_VARIANT)
