"""Builds the bounces service from its settings."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

from bounces.core.claims import ClaimKeys
from bounces.feedback_subjects import FeedbackSubjects
from bounces.open_connections import ClientLimits
from bounces.own_addresses import OwnAddresses
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
        self, event: Event, delivery: Delivery | None, against: AgainstAddress | None = None
    ) -> str | None:
        """See `bounces.service.Returns`."""
        async with self.watchdog.deadline(_MOST_DATABASE_SECONDS):
            return await self.store.record(event, delivery, against)


def build(settings: BouncesSettings, resources: Resources) -> Services:
    """The listener for returned mail."""
    watchdog = DatabaseWatchdog(resources.database.alone())
    returns = _Returns(ReturnStore(resources.database), watchdog)
    keys = _keys(settings.secret_key.get_secret_value())
    certificate = Certificate.told(settings.bounces_tls_certificate, settings.bounces_tls_key)
    listener = ReturnListener(
        _addresses(settings, returns, keys),
        Bounces(returns, FeedbackSubjects(returns, keys, _today)),
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


def _addresses(settings: BouncesSettings, returns: _Returns, keys: ClaimKeys) -> OwnAddresses:
    return OwnAddresses(
        returns,
        keys.return_paths,
        _today,
        hosts=(settings.hostname, settings.return_path_host or settings.hostname),
        complaint_addresses=settings.complaint_addresses,
    )


def _keys(secret_key: bytes) -> ClaimKeys:
    return ClaimKeys(
        signed_ids=(derive(secret_key, Purpose.SIGNED_IDS),),
        return_paths=(derive(secret_key, Purpose.RETURN_PATHS),),
    )


def _today() -> date:
    return datetime.now(UTC).date()
