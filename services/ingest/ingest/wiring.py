"""Builds ingest from its settings."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from ingest.backpressure import Disk, least_free
from ingest.blocked_alerts import BlockedAlerts
from ingest.core.operator_rules import OperatorRules
from ingest.http.native_api import NativeApi
from ingest.http.openapi import described
from ingest.http.sendgrid_api import SendGridApi
from ingest.http.ses_api import SesApi
from ingest.large_mail import LargeMail
from ingest.listening_sockets import Sockets
from ingest.service import IngestService
from ingest.session_context import Limits, SessionContext
from ingest.settings import IngestSettings, UnverifiedSenders
from posthouse.authentication.proofs import AuthKeys
from posthouse.broker import Broker, Topic
from posthouse.mail.rate_limit import Charge, Together
from posthouse.mail.submission import Submission
from posthouse.mail.terms import Acceptance, Committed
from posthouse.running.certificate import Certificate
from posthouse.running.certificate_expiry import CertificateUse
from posthouse.running.identity import new_id
from posthouse.running.program import Resources, Services
from posthouse.store import StoreFull
from posthouse.store.accounts import AccountStore
from posthouse.store.alert_store import AlertStore
from posthouse.store.database_watchdog import DatabaseWatchdog
from posthouse.store.logins import Login
from posthouse.store.rate_counter import RateCounter
from posthouse.store.schedule import Schedule
from posthouse.store.submissions import SubmissionStore
from posthouse.store.timeline import TimelineStore


@dataclass(frozen=True, slots=True)
class _Intake:
    """Commits, then tells policy, unless it has been told."""

    submissions: SubmissionStore
    broker: Broker
    watchdog: DatabaseWatchdog
    seconds: float
    large: LargeMail
    room: Callable[[], bool]

    def has_room(self) -> bool:
        """See `ingest.session_context.Intake`."""
        return self.room()

    async def accept(self, submission: Submission) -> Acceptance:
        """See `ingest.session_context.Intake`."""
        async with self.large.turn(submission), self._writing():
            acceptance = await self.submissions.accept(submission)
        self._announce(submission, acceptance)
        return acceptance

    async def accept_together(self, submissions: Sequence[Submission]) -> Sequence[Acceptance]:
        """See `ingest.session_context.Intake`."""
        async with self.large.turn(*submissions), self._writing():
            acceptances = await self.submissions.accept_together(submissions)
        for submission, acceptance in zip(submissions, acceptances, strict=True):
            self._announce(submission, acceptance)
        return acceptances

    def _writing(self) -> AbstractAsyncContextManager[None]:
        """The time that there is to write; raises StoreFull."""
        if not self.room():  # by now: much may have come in since its MAIL was answered
            raise StoreFull("the disk of the database is nearly full")
        return self.watchdog.deadline(self.seconds)

    def _announce(self, submission: Submission, acceptance: Acceptance) -> None:
        if isinstance(acceptance, Committed) and acceptance.is_due:
            self.broker.announce(Topic.SUBMISSIONS, submission.lane)


@dataclass(frozen=True, slots=True)
class _Directory:
    """Looks logins up, and whose domains are, and counts against rate limits."""

    accounts: AccountStore
    counter: RateCounter
    watchdog: DatabaseWatchdog
    seconds: float

    async def login(self, username: str) -> Login | None:
        """See `posthouse.authentication.directory.Directory`."""
        async with self.watchdog.deadline(self.seconds):
            return await self.accounts.login(username)

    async def scram(self, username: str) -> bytes | None:
        """See `posthouse.authentication.directory.Directory`."""
        async with self.watchdog.deadline(self.seconds):
            return await self.accounts.scram(username)

    async def user_of_secret(self, secret_hash: bytes) -> str | None:
        """See `posthouse.authentication.directory.Directory`."""
        async with self.watchdog.deadline(self.seconds):
            return await self.accounts.user_of_secret(secret_hash)

    async def child(self, account_id: UUID, name: str) -> UUID | None:
        """See `posthouse.authentication.directory.Directory`."""
        async with self.watchdog.deadline(self.seconds):
            return await self.accounts.child(account_id, name)

    async def owned_elsewhere(self, account_id: UUID, domains: Collection[str]) -> frozenset[str]:
        """See `ingest.domain_owners.DomainRegister`."""
        async with self.watchdog.deadline(self.seconds):
            return await self.accounts.owned_elsewhere(account_id, domains)

    async def charge(self, messages: Sequence[Charge], *, urgent: bool) -> Together:
        """See `ingest.rate_checks.RateCounts`."""
        async with self.watchdog.deadline(self.seconds):
            return await self.counter.charge(messages, urgent=urgent)


def _room(disk: Path | None, message_octets: int) -> Callable[[], bool]:
    if disk is None:
        return lambda: True
    return Disk(disk, least_free(message_octets), time.monotonic).has_room


def build(settings: IngestSettings, resources: Resources, sockets: Sockets = ()) -> Services:
    """The listeners for clients, and what tells policy. Raises CannotListen.

    *sockets*: those of the listeners, where they are bound already.
    """
    certificate = Certificate.told(
        settings.ingest_tls_certificate, settings.ingest_tls_key, CertificateUse.SUBMISSION
    )
    watchdog = DatabaseWatchdog(resources.database.alone())
    alerts = BlockedAlerts(AlertStore(resources.background), new_id)
    context = _context(settings, resources, watchdog, certificate, alerts)
    kept = TimelineStore(resources.database), Schedule(resources.database)
    ingest = IngestService(
        settings.ingest_listeners,
        context,
        apis=lambda door: described(
            (
                *NativeApi(door, *kept).routes(),
                *SendGridApi(door).routes(),
                *SesApi(door).routes(),
            )
        ),
        sockets=sockets,
    )
    ingest.bind()
    return Services(
        by_name={
            "ingest": ingest,
            "ingest-watchdog": watchdog,
            "ingest-alerts": alerts,
            **({"ingest-certificate": certificate} if certificate else {}),
        },
        checks={},
    )


def _context(
    settings: IngestSettings,
    resources: Resources,
    watchdog: DatabaseWatchdog,
    tls: Certificate | None,
    alerts: BlockedAlerts,
) -> SessionContext:
    database = resources.database
    limits = _limits(settings)
    context = SessionContext.new(
        hostname=settings.hostname,
        intake=_intake(resources, watchdog, limits),
        directory=_Directory(
            AccountStore(database),
            RateCounter(resources.background),
            watchdog,
            limits.directory_seconds,
        ),
        keys=AuthKeys.derived(settings.secret_key.get_secret_value()),
        tls=tls,
        new_id=new_id,
        clock=time.monotonic,
        note_alert=alerts.note,
        limits=limits,
        operator=operator_rules(settings),
    )
    return replace(context, traces=resources.traces)


def _intake(resources: Resources, watchdog: DatabaseWatchdog, limits: Limits) -> _Intake:
    submissions = SubmissionStore(
        resources.database, resources.background, accepted=resources.accepted
    )

    async def is_high_mail() -> bool:
        async with watchdog.deadline(limits.directory_seconds):
            return await submissions.has_just_accepted_high()

    return _Intake(
        submissions,
        resources.broker,
        watchdog,
        limits.accept_seconds,
        LargeMail(is_high_mail),
        _room(resources.disk, limits.message_octets),
    )


def _limits(settings: IngestSettings) -> Limits:
    return Limits(
        message_octets=settings.ingest_message_octets,
        header_octets=settings.ingest_header_octets,
        mechanisms=settings.ingest_auth_mechanisms,
        unlimited_networks=settings.ingest_unlimited_networks,
        connections=settings.ingest_connections,
        connections_per_address=settings.ingest_connections_per_address,
        connections_per_credential=settings.ingest_connections_per_credential,
        connections_a_minute=settings.ingest_connections_a_minute,
        messages_per_connection=settings.ingest_messages_per_connection,
        command_seconds=settings.ingest_command_seconds,
        idle_seconds=settings.ingest_idle_seconds,
        data_seconds=settings.ingest_data_seconds,
        octets_a_second=settings.ingest_octets_a_second,
    )


def operator_rules(settings: IngestSettings) -> OperatorRules:
    """What the operator decides over all profiles."""
    return OperatorRules(
        unverified_senders=settings.unverified_senders is UnverifiedSenders.ALLOWED,
        sandbox_domain=settings.sandbox_domain or "",
        relay_names=frozenset(_relay_names(settings)),
        resubmission_window=timedelta(minutes=settings.ingest_resubmission_minutes),
        most_ahead=timedelta(days=settings.ingest_most_days_ahead),
    )


def _relay_names(settings: IngestSettings) -> Iterator[str]:
    for name in (settings.hostname, settings.relay_dkim_domain, settings.return_path_host):
        if name is not None and "." in name.rstrip("."):  # nobody is `localhost` to anybody else
            yield name.lower().rstrip(".")
