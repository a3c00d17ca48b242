"""What all sessions share: whom they ask, what they may take, and who else is inside."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from ingest.authenticator import Authenticator
from ingest.core import replies
from ingest.core.limits import Limits
from ingest.core.network import network_of
from ingest.core.trouble import StoreTrouble
from posthouse.mail.reply import Reply
from posthouse.mail.submission import Submission


class Intake(Protocol):
    """What keeps mail."""

    async def accept(self, submission: Submission) -> None:
        """Return when *submission* is committed; raises StoreFull or StoreUnavailable.

        Cancelled when nobody waits any more: then it may or may not have been committed.
        """


class Guest(Protocol):
    """A session, as the door sees it."""

    def stop(self) -> None:
        """Say goodbye and leave, at once when idle, else when the command at work is done."""

    def abort(self) -> None:
        """Leave now, whatever is going on."""


class Guests:
    """Who is inside, how many from where, and how many octets they hold."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_network: Counter[str] = Counter()
        self.inside: set[Guest] = set()
        self.stopping = False
        self.empty = asyncio.Event()  # nobody is inside
        self.empty.set()
        self.octets = 0  # of messages that are being received

    def admit(self, guest: Guest, client: str) -> Reply | None:
        """Let *guest* in; a Reply says why not."""
        if self.stopping:
            return replies.STOPPING
        network = network_of(client)
        if (
            len(self.inside) >= self._limits.connections
            or self._by_network[network] >= self._limits.connections_per_address
        ):
            return replies.TOO_MANY_CONNECTIONS
        self.inside.add(guest)
        self.empty.clear()
        self._by_network[network] += 1
        return None

    def leave(self, guest: Guest, client: str) -> None:
        """*guest* is gone, or never was inside."""
        if guest not in self.inside:
            return
        self.inside.discard(guest)
        if not self.inside:
            self.empty.set()
        network = network_of(client)
        self._by_network[network] -= 1
        if not self._by_network[network]:
            del self._by_network[network]

    @property
    def hold_too_much(self) -> bool:
        """Whether messages in flight fill the memory they may have."""
        return self.octets > self._limits.octets_in_flight


@dataclass(frozen=True, slots=True)
class Door:
    """What a session is given."""

    hostname: str
    limits: Limits
    intake: Intake
    authenticator: Authenticator
    guests: Guests
    trouble: StoreTrouble
    has_room: Callable[[], bool]  # for another message, on the disk of the database
    new_id: Callable[[], UUID]
    tls: ssl.SSLContext | None  # None: only listeners without TLS
