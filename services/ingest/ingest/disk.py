"""The disk that the database writes to, where it is one of this machine."""

import os
from collections.abc import Callable
from pathlib import Path

import structlog

log = structlog.get_logger()

_SEGMENT = 16 << 20  # octets: PostgreSQL ends when it cannot begin a segment of its log
_SEGMENTS = 3  # one being written, one made ahead, one for deliveries meanwhile
# The room kept free is larger than what is written in this time.
_LOOK_SECONDS = 0.25
_SEGMENT_NAME = 24  # hexadecimal digits


class Disk:
    """Tells whether there is room for more mail; looks at the disk at most four times a second.

    A server without room for its log ends, and takes the mail that is on its way out with it. So
    mail is turned away before that.
    """

    def __init__(self, data: Path, least_free: int, clock: Callable[[], float]) -> None:
        """*data*: PostgreSQL's data folder; *least_free*: octets; *clock*: monotonic seconds."""
        self._data = data
        self._least_free = least_free
        self._clock = clock
        self._looked: float | None = None
        self._has_room = True

    def has_room(self) -> bool:
        """Whether there is room; True when the disk cannot be looked at."""
        now = self._clock()
        if self._looked is None or now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            self._look()
        return self._has_room

    def _look(self) -> None:
        try:
            found = os.statvfs(self._data)
            # To root all of it is free; PostgreSQL never is root.
            free = found.f_bavail * found.f_frsize
            if free < self._least_free:
                free = room(free, segments_ahead(self._data / "pg_wal"))
        except OSError as error:
            log.warning("disk_not_asked", folder=str(self._data), reason=str(error))
            self._has_room = True
            return
        had_room, self._has_room = self._has_room, free >= self._least_free
        if had_room and not self._has_room:
            log.error("disk_nearly_full", folder=str(self._data), free=free)
        elif self._has_room and not had_room:
            log.warning("disk_has_room", folder=str(self._data), free=free)


def segments_ahead(folder: Path) -> int:
    """How many segments of the log are on disk already and not written to yet.

    Old segments are renamed to come after the one in use, which was written to last.
    """
    with os.scandir(folder) as entries:
        segments = [(e.stat().st_mtime_ns, e.name) for e in entries if len(e.name) == _SEGMENT_NAME]
    _, in_use = max(segments, default=(0, ""))
    return sum(name > in_use for _, name in segments)


def least_free(message_octets: int) -> int:
    """Octets of room that one more message of up to *message_octets* needs.

    It is written into the log and into a table; delivering accepted mail afterwards
    needs room too.
    """
    return _SEGMENTS * _SEGMENT + message_octets * 3 // 2


def room(free: int, segments_ahead: int) -> int:
    """Octets of room: *free* ones, and segments of the log that will be written over.

    More segments than the log needs are no room for anything else.
    """
    return free + min(segments_ahead, _SEGMENTS) * _SEGMENT
