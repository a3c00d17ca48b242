"""Where load is turned away: memory of messages in flight, disk, a failing store."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import structlog

from posthouse.mail.reply import Reply

_BACKOFF_SECONDS = 1.0

log = structlog.get_logger()


class Receiving(Protocol):
    """A session that receives a message, as the memory budget sees it."""

    @property
    def credential(self) -> str:
        """The user name of the one whose message it is."""

    def give_up_message(self) -> None:
        """Keep no more of the message; its client is asked to come back later."""


class MemoryBudget:
    """How many octets of messages in flight are in memory, in all and for each credential.

    When they are too many, the largest message of the credential that holds most is given up:
    small messages of other credentials go on. A credential may hold half of the budget. The last
    eighth is for those that hold no more than that: else two that send large messages, which may
    wait for their turn to be committed, would stop all others.
    """

    def __init__(self, octets: int) -> None:
        self._octets = octets
        self._reserve = octets // 8
        self._kept: dict[Receiving, int] = {}
        self._can_give_up: set[Receiving] = set()
        self._by_credential: Counter[str] = Counter()
        self.total = 0

    def keep(self, session: Receiving, octets: int) -> None:
        """*session* is receiving a message and keeps *octets* of it now."""
        self._can_give_up.add(session)
        self._count(session, octets)
        while self._is_over(session.credential) and self._give_up_largest(session.credential):
            pass

    def complete(self, session: Receiving, octets: int) -> None:
        """*session* has all of its message, and keeps it until it is committed."""
        self._can_give_up.discard(session)
        self._count(session, octets)

    def release(self, session: Receiving) -> None:
        """*session* keeps nothing any more."""
        self._can_give_up.discard(session)
        self._count(session, 0)

    @property
    def is_full(self) -> bool:
        """Whether no new message may begin: what is being committed alone fills the budget."""
        return self.total > self._octets and not self._can_give_up

    def _is_over(self, credential: str) -> bool:
        own = self._by_credential[credential]
        return (
            self.total > self._octets
            or 2 * own > self._octets
            or (own > self._reserve and self._is_in_reserve)
        )

    @property
    def _is_in_reserve(self) -> bool:
        return self.total > self._octets - self._reserve

    def _give_up_largest(self, credential: str) -> bool:
        """Give up one message, of that credential while others have room."""
        candidates = [
            session
            for session in self._can_give_up
            if self._kept.get(session) and (self._is_in_reserve or session.credential == credential)
        ]
        if not candidates:
            return False
        largest = max(
            candidates, key=lambda one: (self._by_credential[one.credential], self._kept[one])
        )
        largest.give_up_message()
        self.release(largest)
        return True

    def _count(self, session: Receiving, octets: int) -> None:
        more = octets - self._kept.get(session, 0)
        self.total += more
        self._by_credential[session.credential] += more
        if octets:
            self._kept[session] = octets
            return
        self._kept.pop(session, None)
        if not self._by_credential[session.credential]:
            del self._by_credential[session.credential]


class StoreBackoff:
    """After the store failed, clients are turned away at once for a second; then it is tried."""

    def __init__(self) -> None:
        self._last: Reply | None = None
        self._until = 0.0

    def failed(self, reply: Reply, now: float) -> None:
        """The store failed, and a client was told *reply*."""
        self._last = reply
        self._until = now + _BACKOFF_SECONDS

    def succeeded(self) -> None:
        """The store accepted something."""
        self._last = None

    def reply(self, now: float) -> Reply | None:
        """What to turn a client away with, or None when the store may be tried."""
        return self._last if now < self._until else None


# The disk that the database writes to, where it is one of this machine

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
