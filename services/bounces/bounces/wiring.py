"""Builds the bounces service from its settings."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from bounces.forwarding import ReturnForwarder
from bounces.notifier import NoticeLimits, Notifier
from bounces.open_connections import ClientLimits
from bounces.relay_identity import RelayIdentity
from bounces.return_listener import ReturnListener
from bounces.service import Bounces
from bounces.settings import BouncesSettings
from posthouse.broker import Topic
from posthouse.mail.address_failure import AgainstAddress
from posthouse.mail.events import Event
from posthouse.mail.lane import Lane
from posthouse.mail.secret import Purpose, derive
from posthouse.mail.submission import Delivery, Submission
from posthouse.running.certificate import Certificate
from posthouse.running.program import Resources, Services
from posthouse.store.database_watchdog import DatabaseWatchdog
from posthouse.store.returns import ReturnStore

# Longer than the timeout of a statement (10 s); the sender of a report waits ten minutes.
_MOST_DATABASE_SECONDS = 12.0


@dataclass(frozen=True, slots=True)
class _Returns:
    """Looks up and records, until the database is found dead."""

    store: ReturnStore
    watchdog: DatabaseWatchdog

    async def find(self, delivery_id: UUID) -> Delivery | None:
        """See `bounces.service.Returns`."""
        async with self.watchdog.deadline(_MOST_DATABASE_SECONDS):
            return await self.store.find(delivery_id)

    async def record(
        self,
        event: Event,
        delivery: Delivery,
        against: AgainstAddress | None = None,
        *,
        forward: Submission | None = None,
    ) -> bool:
        """See `bounces.service.Returns`."""
        async with self.watchdog.deadline(_MOST_DATABASE_SECONDS):
            return await self.store.record(event, delivery, against, forward=forward)


def build(settings: BouncesSettings, resources: Resources) -> Services:
    """The listener for returned mail."""
    watchdog = DatabaseWatchdog(resources.database.alone())
    relay = RelayIdentity(
        resources.database,
        hostname=settings.hostname,
        return_path_host=settings.return_path_host,
    )
    announce = partial(resources.broker.announce, Topic.SUBMISSIONS)
    bounces = _bounces(
        settings, _Returns(ReturnStore(resources.database), watchdog), relay, announce
    )
    limits = _notice_limits(settings)
    certificate = Certificate.told(settings.bounces_tls_certificate, settings.bounces_tls_key)
    listener = ReturnListener(
        bounces,
        settings.bounces_listen,
        hostname=settings.hostname,
        tls=certificate.context if certificate else None,
        limits=_client_limits(settings),
    )
    return Services(
        by_name={
            "bounces": listener,
            "bounces-watchdog": watchdog,
            "notifier": Notifier(resources.database, relay, announce=announce, limits=limits),
            **({"bounces-certificate": certificate} if certificate else {}),
        },
        checks={"bounces": listener.check},
    )


def _bounces(
    settings: BouncesSettings,
    returns: _Returns,
    relay: RelayIdentity,
    announce: Callable[[Lane], None],
) -> Bounces:
    key = derive(settings.secret_key.get_secret_value(), Purpose.RETURN_PATHS)
    return Bounces(
        returns,
        (key,),
        lambda: datetime.now(UTC).date(),
        forward=ReturnForwarder(returns.store, relay).forward,
        announce=announce,
    )


def _notice_limits(settings: BouncesSettings) -> NoticeLimits:
    gather = timedelta(seconds=settings.dsn_gather_seconds)
    return NoticeLimits(gather=gather, per_hour=settings.dsn_per_hour)


def _client_limits(settings: BouncesSettings) -> ClientLimits:
    return ClientLimits(
        connections=settings.bounces_connections,
        connections_per_client=settings.bounces_connections_per_client,
        messages_per_minute=settings.bounces_messages_per_minute,
    )
