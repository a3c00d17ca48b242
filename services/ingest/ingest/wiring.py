"""Builds ingest from its settings."""

import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.backpressure import Disk, least_free
from ingest.service import IngestService
from ingest.session_context import Limits, SessionContext
from ingest.settings import IngestSettings
from posthouse.broker import Broker, Topic
from posthouse.mail.secret import Purpose, derive
from posthouse.mail.submission import Submission
from posthouse.running.certificate import Certificate
from posthouse.running.identity import new_id
from posthouse.running.program import Resources, Services
from posthouse.store import StoreFull
from posthouse.store.accounts import AccountStore, Login
from posthouse.store.database_watchdog import DatabaseWatchdog
from posthouse.store.submissions import SubmissionStore


@dataclass(frozen=True, slots=True)
class _Intake:
    """Commits, then tells policy, unless it has been told."""

    submissions: SubmissionStore
    broker: Broker
    watchdog: DatabaseWatchdog
    seconds: float
    has_room: Callable[[], bool]

    async def accept(self, submission: Submission) -> None:
        """See `ingest.session_context.Intake`."""
        if not self.has_room():  # by now: much may have come in since its MAIL was answered
            raise StoreFull("the disk of the database is nearly full")
        async with self.watchdog.deadline(self.seconds):
            came_due = await self.submissions.accept(submission)
        if came_due:
            self.broker.announce(Topic.SUBMISSIONS, submission.lane)


@dataclass(frozen=True, slots=True)
class _Directory:
    """Looks logins up."""

    accounts: AccountStore
    watchdog: DatabaseWatchdog
    seconds: float

    async def login(self, username: str) -> Login | None:
        """See `ingest.authenticator.Directory`."""
        async with self.watchdog.deadline(self.seconds):
            return await self.accounts.login(username)


def _room(disk: Path | None, message_octets: int) -> Callable[[], bool]:
    if disk is None:
        return lambda: True
    return Disk(disk, least_free(message_octets), time.monotonic).has_room


def build(
    settings: IngestSettings, resources: Resources, sockets: Sequence[socket.socket] = ()
) -> Services:
    """The listeners for clients, and what tells policy. Raises CannotListen.

    *sockets*: those of the listeners, where they are bound already.
    """
    certificate = Certificate.told(settings.ingest_tls_certificate, settings.ingest_tls_key)
    watchdog = DatabaseWatchdog(resources.database.alone())
    tls = certificate.context if certificate else None
    context = _context(settings, resources, watchdog, tls)
    ingest = IngestService(settings.ingest_listeners, context, sockets=sockets)
    ingest.bind()
    return Services(
        by_name={
            "ingest": ingest,
            "ingest-watchdog": watchdog,
            **({"ingest-certificate": certificate} if certificate else {}),
        },
        checks={},
    )


def _context(
    settings: IngestSettings,
    resources: Resources,
    watchdog: DatabaseWatchdog,
    tls: ssl.SSLContext | None,
) -> SessionContext:
    database = resources.database
    submissions = SubmissionStore(database, resources.background, accepted=resources.accepted)
    limits = Limits(
        message_octets=settings.ingest_message_octets,
        connections=settings.ingest_connections,
        connections_per_address=settings.ingest_connections_per_address,
    )
    has_room = _room(resources.disk, limits.message_octets)
    return SessionContext.new(
        hostname=settings.hostname,
        intake=_Intake(submissions, resources.broker, watchdog, limits.accept_seconds, has_room),
        directory=_Directory(AccountStore(database), watchdog, limits.directory_seconds),
        pepper=derive(settings.secret_key.get_secret_value(), Purpose.CREDENTIALS),
        tls=tls,
        new_id=new_id,
        clock=time.monotonic,
        has_room=has_room,
        limits=limits,
    )
