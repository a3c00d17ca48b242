"""Builds the bounces service from its settings."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from uuid import UUID

from bounces.account_watch import AccountWatch
from bounces.core.claims import ClaimKeys
from bounces.core.thresholds import Limit, ThresholdLimits
from bounces.feedback_subjects import FeedbackSubjects
from bounces.forwarding import MailOnward, OperatorAddress
from bounces.notifier import NoticeLimits, Notifier
from bounces.open_connections import ClientLimits
from bounces.own_addresses import OwnAddresses
from bounces.relay_identity import RelayIdentity
from bounces.return_listener import ReturnListener
from bounces.service import Bounces
from bounces.settings import BouncesSettings
from bounces.traffic_watch import TrafficWatch
from posthouse.broker import Topic
from posthouse.mail.address_failure import AgainstAddress
from posthouse.mail.events import Event
from posthouse.mail.lane import Lane
from posthouse.mail.secret import Purpose, derive
from posthouse.mail.submission import Delivery, Submission
from posthouse.mail.subscription import UnsubscribeForm
from posthouse.running.certificate import Certificate
from posthouse.running.certificate_expiry import CertificateUse
from posthouse.running.event_reader import EventReader
from posthouse.running.program import Resources, Services
from posthouse.store.database_watchdog import DatabaseWatchdog
from posthouse.store.kept_mail import OperatorMailStore
from posthouse.store.message_keys import MessageKeys
from posthouse.store.returns import ReturnStore
from posthouse.store.subscriptions import SubscriptionStore
from posthouse.tracking.token import token_keys

# Longer than the timeout of a statement (10 s); the sender of a report waits ten minutes.
_MOST_DATABASE_SECONDS = 12.0


@dataclass(frozen=True, slots=True)
class _Returns:
    """Looks up and records, until the database is found dead."""

    store: ReturnStore
    watchdog: DatabaseWatchdog

    async def find(self, delivery_id: UUID) -> Delivery | None:
        """See `bounces.own_addresses.Owners`."""
        async with self.watchdog.deadline(_MOST_DATABASE_SECONDS):
            return await self.store.find(delivery_id)

    async def deliveries_of(self, submission_id: UUID) -> tuple[Delivery, ...]:
        """See `bounces.feedback_subjects.Reported`."""
        async with self.watchdog.deadline(_MOST_DATABASE_SECONDS):
            return await self.store.deliveries_of(submission_id)

    async def takes_mail_for(self, host: str) -> bool:
        """See `bounces.own_addresses.Owners`."""
        async with self.watchdog.deadline(_MOST_DATABASE_SECONDS):
            return await self.store.takes_mail_for(host)

    async def record(
        self,
        event: Event,
        delivery: Delivery | None,
        against: AgainstAddress | None = None,
        *,
        forward: Submission | None = None,
    ) -> str | None:
        """See `bounces.service.Returns`."""
        async with self.watchdog.deadline(_MOST_DATABASE_SECONDS):
            return await self.store.record(event, delivery, against, forward=forward)


@dataclass(frozen=True, slots=True)
class _Unsubscribes:
    """Unsubscribes, until the database is found dead."""

    store: SubscriptionStore
    watchdog: DatabaseWatchdog

    async def unsubscribe(self, delivery_id: UUID, *, sender: str, client: str) -> bool:
        """See `bounces.service.Unsubscribes`."""
        async with self.watchdog.deadline(_MOST_DATABASE_SECONDS):
            one = await self.store.find(delivery_id)
            if one is None:
                return False
            by = UnsubscribeForm.MAIL
            return await self.store.unsubscribe(one, by, sender=sender, client=client)


@dataclass(frozen=True, slots=True)
class _Onward:
    """Sends on, until the database is found dead."""

    mail: MailOnward
    watchdog: DatabaseWatchdog

    async def forward(self, delivery: Delivery, content: bytes) -> Submission | None:
        """See `bounces.service.Onward`."""
        async with self.watchdog.deadline(_MOST_DATABASE_SECONDS):
            return await self.mail.forward(delivery, content)

    async def forward_to_operator(
        self, content: bytes, client: str, *, recipient: str, sender: str
    ) -> None:
        """See `bounces.service.Onward`."""
        async with self.watchdog.deadline(_MOST_DATABASE_SECONDS):
            await self.mail.forward_to_operator(content, client, recipient=recipient, sender=sender)

    def announce(self, lane: Lane) -> None:
        """See `bounces.service.Onward`."""
        self.mail.announce(lane)


def _certificate(settings: BouncesSettings) -> Certificate | None:
    chain, key = settings.bounces_tls_certificate, settings.bounces_tls_key
    if chain is None:
        return None
    return Certificate((chain, key or chain), use=CertificateUse.BOUNCES)


def build(settings: BouncesSettings, resources: Resources) -> Services:
    """The listener for returned mail."""
    watchdog = DatabaseWatchdog(resources.database.alone())
    returns = _Returns(ReturnStore(resources.database), watchdog)
    relay = _relay(settings, resources)
    keys = _keys(settings.secret_key.get_secret_value())
    certificate = _certificate(settings)
    listener = ReturnListener(
        _addresses(settings, returns, keys),
        Bounces(
            returns,
            FeedbackSubjects(returns, keys, _today),
            _Onward(_onward(settings, resources, relay), watchdog),
            _Unsubscribes(SubscriptionStore(resources.database), watchdog),
            resources.traces,
        ),
        settings.bounces_listen,
        hostname=settings.hostname,
        tls=certificate.context if certificate else None,
        limits=_client_limits(settings),
    )
    return Services(
        by_name={
            "bounces": listener,
            "bounces-watchdog": watchdog,
            "event-reader": _event_reader(settings, resources, relay),
            **({"bounces-certificate": certificate} if certificate else {}),
        },
        checks={"bounces": listener.check},
    )


def _relay(settings: BouncesSettings, resources: Resources) -> RelayIdentity:
    return RelayIdentity(
        resources.database,
        hostname=settings.hostname,
        return_path_host=settings.return_path_host,
    )


def _event_reader(
    settings: BouncesSettings, resources: Resources, relay: RelayIdentity
) -> EventReader:
    database = resources.database.alone(connections=3)
    announce = partial(resources.broker.announce, Topic.SUBMISSIONS)
    consumers = (
        Notifier(database, relay, announce=announce, limits=_notice_limits(settings)),
        AccountWatch(
            database,
            relay,
            announce=announce,
            limits=_threshold_limits(settings),
            keep=timedelta(days=settings.statistics_days),
        ),
        TrafficWatch(
            database,
            keep_years=settings.report_years,
            most_sets=settings.report_sets_per_day,
        ),
        MessageKeys(database),
    )
    return EventReader(database, consumers)


def _notice_limits(settings: BouncesSettings) -> NoticeLimits:
    gather = timedelta(seconds=settings.dsn_gather_seconds)
    return NoticeLimits(
        gather=gather, per_hour=settings.dsn_per_hour, alerts_per_hour=settings.alerts_per_hour
    )


def _threshold_limits(settings: BouncesSettings) -> ThresholdLimits:
    return ThresholdLimits(
        Limit(
            settings.hold_bounce_percent,
            settings.hold_bounce_volume,
            timedelta(hours=settings.hold_bounce_hours),
        ),
        Limit(
            settings.hold_complaint_percent,
            settings.hold_complaint_volume,
            timedelta(hours=settings.hold_complaint_hours),
        ),
    )


def _onward(settings: BouncesSettings, resources: Resources, relay: RelayIdentity) -> MailOnward:
    return MailOnward(
        ReturnStore(resources.database),
        OperatorMailStore(resources.database),
        relay,
        OperatorAddress(settings.operator_address, settings.operator_mail_per_hour),
        partial(resources.broker.announce, Topic.SUBMISSIONS),
    )


def _client_limits(settings: BouncesSettings) -> ClientLimits:
    return ClientLimits(
        connections=settings.bounces_connections,
        connections_per_client=settings.bounces_connections_per_client,
        messages_per_minute=settings.bounces_messages_per_minute,
        proxies=settings.bounces_proxies,
    )


def _addresses(settings: BouncesSettings, returns: _Returns, keys: ClaimKeys) -> OwnAddresses:
    return OwnAddresses(
        returns,
        keys.return_paths,
        _today,
        hosts=(settings.hostname, settings.return_path_host or settings.hostname),
        complaint_addresses=settings.complaint_addresses,
        token_keys=token_keys(settings.secret_key.get_secret_value(), settings.token_keys),
    )


def _keys(secret_key: bytes) -> ClaimKeys:
    return ClaimKeys(
        signed_ids=(derive(secret_key, Purpose.SIGNED_IDS),),
        return_paths=(derive(secret_key, Purpose.RETURN_PATHS),),
    )


def _today() -> date:
    return datetime.now(UTC).date()
