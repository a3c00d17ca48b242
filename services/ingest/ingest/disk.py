"""The disk that the database writes to, where it is one of this machine."""

import os
from collections.abc import Callable
from pathlib import Path

import structlog

log = structlog.get_logger()

# More than is written in this time is kept free.
_LOOK_SECONDS = 0.25


class Disk:
    """Says whether there is room for more mail; looks only when asked, and seldom even then.

    A server that finds no room for its log ends, and takes the mail that is on its way out with
    it: so mail is turned away before.
    """

    def __init__(self, folder: Path, least_free: int, clock: Callable[[], float]) -> None:
        """*least_free*: octets, below which there is no room; *clock*: monotonic seconds."""
        self._folder = folder
        self._least_free = least_free
        self._clock = clock
        self._looked: float | None = None
        self._has_room = True

    def has_room(self) -> bool:
        """Whether there is; a disk that cannot be asked has."""
        now = self._clock()
        if self._looked is None or now - self._looked >= _LOOK_SECONDS:
            self._looked = now
            self._look()
        return self._has_room

    def _look(self) -> None:
        try:
            found = os.statvfs(self._folder)
        except OSError as error:
            log.warning("disk_not_asked", folder=str(self._folder), reason=str(error))
            self._has_room = True
            return
        # To root all of it is free; PostgreSQL never is root.
        free = found.f_bavail * found.f_frsize
        had_room, self._has_room = self._has_room, free >= self._least_free
        if had_room and not self._has_room:
            log.error("disk_nearly_full", folder=str(self._folder), free=free)
        elif self._has_room and not had_room:
            log.warning("disk_has_room", folder=str(self._folder), free=free)
