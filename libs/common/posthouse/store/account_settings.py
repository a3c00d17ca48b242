"""The settings of an account: who hears of failures and alerts, and what may hold it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from posthouse.mail.address import Address
from posthouse.mail.alert import AlertKind, AlertPace
from posthouse.store.postgres import Postgres


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """What an account wants to hear, and whether thresholds hold it."""

    dsn: bool  # a report to the sender, where the profile gives one
    bounce_address: str | None  # gets returned and undeliverable mail
    automatic_hold: bool
    alerts: bool  # sent to its alert address
    alert_address: str | None
    alert_paces: Mapping[str, str]  # by kinds of `AlertKind`, for those that it has chosen
    late_after: timedelta  # from acceptance on: what is delivered later is late


class AccountSettingsStore:
    """Reads and changes them."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def read(self, account_id: UUID) -> AccountSettings:
        """Of an account that exists."""
        (row,) = await self._database.fetch("read_account_settings", account_id)
        return AccountSettings(**dict(row))

    async def set_dsn(self, account_id: UUID, *, dsn: bool) -> None:
        """Turn reports to senders on or off."""
        await self._database.run("set_dsn", account_id, dsn)

    async def set_automatic_hold(self, account_id: UUID, *, on: bool) -> None:
        """Let thresholds hold the account, or let them not."""
        await self._database.run("set_automatic_hold", account_id, on)

    async def set_alerts(self, account_id: UUID, *, on: bool) -> None:
        """Send alerts to the alert address, or do not."""
        await self._database.run("set_alerts", account_id, on)

    async def set_alert_paces(
        self,
        account_id: UUID,
        paces: Mapping[AlertKind, AlertPace],
        late_after: timedelta | None = None,
    ) -> None:
        """Say how often it hears of those kinds, and *late_after* which time a delivery is late."""
        await self._database.run("set_alert_paces", account_id, dict(paces), late_after)

    async def set_alert_address(self, account_id: UUID, address: Address | None) -> str | None:
        """Set or remove the alert address.

        Returns the host that takes returned mail which it is at, and then changes nothing.
        """
        host, text = (None, None) if address is None else (address.ascii_domain, str(address))
        row = await self._database.first("set_alert_address", account_id, text, host)
        return None if row is None else str(row["name"])

    async def set_bounce_address(self, account_id: UUID, address: Address | None) -> str | None:
        """Set or remove the bounce address.

        Returns the name that forbids it, and then changes nothing: a sending domain of the account
        that it lies in, or a host that takes returned mail (RULES E04).
        """
        hosts = [] if address is None else with_parents(address.ascii_domain)
        text = None if address is None else str(address)
        row = await self._database.first("set_bounce_address", account_id, text, hosts)
        return None if row is None else str(row["name"])


def lies_in(address: str, domain: str) -> bool:
    """Whether *address* is at *domain*, or at a host below it."""
    return domain in with_parents(Address.parse(address).ascii_domain)


def with_parents(domain: str) -> list[str]:
    """*domain*, then each domain above it."""
    labels = domain.split(".")
    return [".".join(labels[at:]) for at in range(len(labels))]
