"""Accounts, their credentials and their sending domains."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from posthouse.mail.lane import Lane
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES


@dataclass(frozen=True, slots=True)
class Login:
    """Everything the door needs to know about a credential."""

    account_id: UUID
    credential_id: UUID
    username: str
    secret_hash: bytes
    profile: str
    lane: Lane  # default of its messages
    highest_lane: Lane  # what its messages may claim at most
    domains: frozenset[str]  # verified; the only ones it may send as


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A DKIM key as it lies in the store: readable only with the relay's own key."""

    selector: str
    algorithm: str  # "rsa-sha256" or "ed25519-sha256" (RFC 6376, RFC 8463)
    sealed: bytes


@dataclass(frozen=True, slots=True)
class SendingDomain:
    """A verified domain of an account."""

    name: str
    return_path_host: str | None  # None: DSNs come to the relay's own host
    keys: tuple[SealedKey, ...]


@dataclass(frozen=True, slots=True)
class NewKey:
    """A DKIM key about to be stored, with the DNS record that publishes it."""

    selector: str
    algorithm: str
    sealed: bytes
    record: str


class AccountStore:
    """What services and operators ask about accounts."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def login(self, username: str) -> Login | None:
        """The active credential called *username*."""
        row = await self._database.first("find_login", username)
        if row is None:
            return None
        return Login(
            account_id=row["account_id"],
            credential_id=row["credential_id"],
            username=row["username"],
            secret_hash=row["secret_hash"],
            profile=row["profile"],
            lane=Lane(row["lane"]),
            highest_lane=Lane(row["highest_lane"]),
            domains=frozenset(row["domains"]),
        )

    async def sending_domain(self, account_id: UUID, name: str) -> SendingDomain | None:
        """The account's verified domain called *name*."""
        rows = await self._database.fetch("find_sending_domain", account_id, name)
        if not rows:
            return None
        keys = tuple(
            SealedKey(row["selector"], row["algorithm"], row["sealed"])
            for row in rows
            if row["selector"] is not None
        )
        return SendingDomain(rows[0]["name"], rows[0]["return_path_host"], keys)

    async def account(self, name: str) -> UUID | None:
        """The id of the account called *name*."""
        row = await self._database.first("find_account", name)
        return row["id"] if row else None

    async def create_account(self, name: str) -> UUID:
        """Make an account; raises StoreRefused when there is one of that name."""
        rows = await self._database.fetch("create_account", name)
        id_: UUID = rows[0]["id"]
        return id_

    async def accounts(self) -> list[tuple[str, datetime]]:
        """Name and day of every account."""
        return [(r["name"], r["created_at"]) for r in await self._database.fetch("list_accounts")]

    async def create_credential(
        self,
        account_id: UUID,
        username: str,
        secret_hash: bytes,
        *,
        profile: str = "native",
        lane: Lane = Lane.NORMAL,
        highest_lane: Lane = Lane.VERY_HIGH,
        note: str = "",
    ) -> None:
        """Make a credential; raises StoreRefused when the user name is taken."""
        await self._database.run(
            "create_credential",
            account_id,
            username,
            secret_hash,
            profile,
            lane,
            highest_lane,
            note,
        )

    async def credentials(self) -> list[Any]:
        """Every credential with its account, without its secret."""
        return await self._database.fetch("list_credentials")

    async def set_credential_active(self, username: str, *, active: bool) -> bool:
        """Switch a credential on or off; whether there is one of that name."""
        return bool(await self._database.fetch("set_credential_active", username, active))

    async def create_sending_domain(
        self,
        account_id: UUID,
        name: str,
        keys: Sequence[NewKey],
        *,
        return_path_host: str | None = None,
        verified: bool = False,
    ) -> None:
        """Make a sending domain with its DKIM keys; raises StoreRefused when it exists."""
        # Together: a verified domain that lacks a key would send unsigned.
        async with self._database.connection() as connection, connection.transaction():
            domain_id = await connection.fetchval(
                QUERIES["create_sending_domain"], account_id, name, return_path_host, verified
            )
            for k in keys:
                await connection.execute(
                    QUERIES["create_dkim_key"],
                    *(domain_id, k.selector, k.algorithm, k.sealed, k.record),
                )

    async def verify_sending_domain(self, account_id: UUID, name: str) -> bool:
        """Mark the domain as verified; whether there is one of that name."""
        return bool(await self._database.fetch("verify_sending_domain", account_id, name))

    async def sending_domains(self) -> list[Any]:
        """Every sending domain, a row for each of its keys."""
        return await self._database.fetch("list_sending_domains")
