"""Accounts, their credentials, profiles and sending domains."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias
from uuid import UUID

from posthouse.mail.lane import Lane
from posthouse.store.account_settings import AccountSettingsStore
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES

Owned: TypeAlias = tuple[UUID, str]
"""An account, and the name of a domain that it may own."""

ProfileKey: TypeAlias = tuple[UUID, str, int]
"""A credential, and name and revision of a profile that its messages have."""


@dataclass(frozen=True, slots=True)
class AccountProfile:
    """A profile of an account: a preset with some of its knobs changed."""

    account_id: UUID
    name: str
    revision: int  # counts up from 1; each is kept
    preset: str
    preset_revision: int
    knobs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Login:
    """Everything ingest needs to know about a credential."""

    account_id: UUID
    credential_id: UUID
    username: str
    secret_hash: bytes
    profile: str
    lane: Lane  # default of its messages
    highest_lane: Lane  # what its messages may claim at most
    domains: frozenset[str]  # verified ones of its account
    own_profile: AccountProfile | None = None  # what *profile* names; None: a preset
    # Verified domains that only a child of its account has, and that child: it sends for them too.
    child_domains: Mapping[str, UUID] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A DKIM key as stored: sealed, readable only with the relay's own key."""

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
    """A DKIM key to be stored, with the DNS record that publishes it."""

    selector: str
    algorithm: str
    sealed: bytes
    record: str


class KeyState(StrEnum):
    """The state of a DKIM key; only active ones sign."""

    PUBLISHED = "published"
    ACTIVE = "active"
    RETIRED = "retired"


class AccountStore:
    """The statements about accounts, for services and operators."""

    def __init__(self, database: Postgres) -> None:
        self._database = database
        self.settings = AccountSettingsStore(database)

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
            child_domains={
                name: UUID(child)
                for name, child in (row["child_domains"] or {}).items()
                if name not in row["domains"]
            },
            own_profile=None if row["revision"] is None else _own_profile(row, row["profile"]),
        )

    async def create_profile(
        self,
        account_id: UUID,
        name: str,
        *,
        preset: str,
        preset_revision: int,
        knobs: Mapping[str, Any],
    ) -> int:
        """Add a revision of the account's profile *name*, and return its number.

        Logins from now on get it; mail that was accepted before keeps the revision it has.
        """
        rows = await self._database.fetch(
            "create_profile", account_id, name, preset, preset_revision, knobs
        )
        revision: int = rows[0]["revision"]
        return revision

    async def own_profiles(self) -> list[Any]:
        """The newest revision of every profile of an account, with the account's name."""
        return await self._database.fetch("list_profiles")

    async def profiles(self, wanted: Iterable[ProfileKey]) -> dict[ProfileKey, AccountProfile]:
        """Those of *wanted* that are profiles of the credential's account."""
        rows = await self._database.fetch("find_profiles", list(wanted))
        return {
            (row["credential_id"], row["name"], row["revision"]): _own_profile(row, row["name"])
            for row in rows
        }

    async def find_sending_domains(self, wanted: Collection[Owned]) -> dict[Owned, SendingDomain]:
        """Those of *wanted* that are verified domains the account may use, with active keys."""
        pairs = list(wanted)
        rows = await self._database.fetch("find_sending_domains", pairs)
        found: dict[Owned, SendingDomain] = {}
        for place, group in groupby(rows, key=itemgetter("place")):
            first, *rest = group
            keys = tuple(
                SealedKey(row["selector"], row["algorithm"], row["sealed"])
                for row in (first, *rest)
                if row["selector"] is not None
            )
            domain = SendingDomain(first["name"], first["return_path_host"], keys)
            found[pairs[place - 1]] = domain
        return found

    async def account(self, name: str) -> UUID | None:
        """The id of the account called *name*."""
        row = await self._database.first("find_account", name)
        return row["id"] if row else None

    async def create_account(self, name: str, *, parent: UUID | None = None) -> UUID:
        """Make an account; raises StoreRefused when there is one of that name."""
        rows = await self._database.fetch("create_account", name, parent)
        id_: UUID = rows[0]["id"]
        return id_

    async def accounts(self) -> list[Any]:
        """Every account: its name, its parent's, when it was made, and its hold."""
        return await self._database.fetch("list_accounts")

    async def children(self, account_id: UUID) -> list[tuple[str, UUID]]:
        """The names and ids of the accounts whose parent it is."""
        rows = await self._database.fetch("find_children", account_id)
        return [(row["name"], row["id"]) for row in rows]

    async def create_credential(
        self,
        account_id: UUID,
        username: str,
        secret_hash: bytes,
        *,
        profile: str = "native",
        lane: Lane = Lane.NORMAL,
        highest_lane: Lane = Lane.HIGH,
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
        """Make a sending domain of the account, with its DKIM keys, which are active at once.

        Raises StoreRefused when it exists, in whatever account: see `share_sending_domain`.
        """
        # Together: a verified domain that lacks a key would send unsigned.
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(
                QUERIES["create_sending_domain"], account_id, name, return_path_host, verified
            )
            for k in keys:
                await connection.execute(
                    QUERIES["create_dkim_key"],
                    *(name, k.selector, k.algorithm, k.sealed, k.record, KeyState.ACTIVE.value),
                )

    async def share_sending_domain(self, account_id: UUID, name: str) -> bool:
        """Let the account use the domain *name* of another one, with its keys.

        False when there is no such domain, or the account may use it already.
        """
        return bool(await self._database.fetch("share_sending_domain", account_id, name))

    async def add_key(self, domain: str, key: NewKey) -> bool:
        """Add a DKIM key that does not sign yet; False when there is no such domain.

        Raises StoreRefused when the domain has a key under that selector.
        """
        rows = await self._database.fetch(
            "create_dkim_key",
            *(domain, key.selector, key.algorithm, key.sealed, key.record),
            KeyState.PUBLISHED.value,
        )
        return bool(rows)

    async def set_key_state(self, domain: str, selector: str, state: KeyState) -> bool:
        """Let a DKIM key sign, or stop it; False when there is none under that selector."""
        rows = await self._database.fetch("set_dkim_key_state", domain, selector, state.value)
        return bool(rows)

    async def verify_sending_domain(self, account_id: UUID, name: str) -> bool:
        """Mark the domain as verified; False when the account has none of that name."""
        return bool(await self._database.fetch("verify_sending_domain", account_id, name))

    async def sending_domains(self) -> list[Any]:
        """Every sending domain, a row for each account that may use it and each of its keys."""
        return await self._database.fetch("list_sending_domains")


def _own_profile(row: Any, name: str) -> AccountProfile:
    return AccountProfile(
        row["account_id"],
        name,
        row["revision"],
        row["preset"],
        row["preset_revision"],
        row["knobs"],
    )
