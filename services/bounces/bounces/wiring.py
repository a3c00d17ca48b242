"""Builds the bounces service from its settings."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from bounces.open_connections import ClientLimits
from bounces.return_listener import ReturnListener
from bounces.service import Bounces
from bounces.settings import BouncesSettings
from posthouse.mail.address_failure import AgainstAddress
from posthouse.mail.events import Event
from posthouse.mail.secret import Purpose, derive
from posthouse.mail.submission import Delivery
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
        self, event: Event, delivery: Delivery, against: AgainstAddress | None = None
    ) -> bool:
        """See `bounces.service.Returns`."""
        async with self.watchdog.deadline(_MOST_DATABASE_SECONDS):
            return await self.store.record(event, delivery, against)


def build(settings: BouncesSettings, resources: Resources) -> Services:
    """The listener for returned mail."""
    key = derive(settings.secret_key.get_secret_value(), Purpose.RETURN_PATHS)
    watchdog = DatabaseWatchdog(resources.database.alone())
    bounces = Bounces(
        _Returns(ReturnStore(resources.database), watchdog),
        (key,),
        lambda: datetime.now(UTC).date(),
    )
    certificate = Certificate.told(settings.bounces_tls_certificate, settings.bounces_tls_key)
    listener = ReturnListener(
        bounces,
        settings.bounces_listen,
        hostname=settings.hostname,
        tls=certificate.context if certificate else None,
        limits=ClientLimits(
            connections=settings.bounces_connections,
            connections_per_client=settings.bounces_connections_per_client,
            messages_per_minute=settings.bounces_messages_per_minute,
        ),
    )
    return Services(
        by_name={
            "bounces": listener,
            "bounces-watchdog": watchdog,
            **({"bounces-certificate": certificate} if certificate else {}),
        },
        checks={"bounces": listener.check},
    )
