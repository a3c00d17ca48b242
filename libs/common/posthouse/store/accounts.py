"""Accounts, their credentials, profiles and sending domains."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias
from uuid import UUID

from posthouse.mail.secret import StoredSecret
from posthouse.profiles.choices import Onboarding
from posthouse.store.account_settings import AccountSettingsStore
from posthouse.store.audit_log import AuditLine, run_audited, write_audit
from posthouse.store.credentials import (
    USUAL_TERMS,
    CredentialStore,
    CredentialTerms,
    new_row,
    run_with_secret,
)
from posthouse.store.logins import (
    AccountProfile,
    Login,
    login_of,
    own_profile_of,
)
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES
from posthouse.store.tracking_hosts import LED_HERE, state_of
from posthouse.tracking.host_state import HostState

Owned: TypeAlias = tuple[UUID, str]
"""An account, and the name of a domain that it may own."""

ProfileKey: TypeAlias = tuple[UUID, str, int]
"""A credential, and name and revision of a profile that its messages have."""


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
    tracking: HostState | None = None  # None: its links lead to the relay's own tracking host


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
        self.credentials = CredentialStore(database)

    async def login(self, username: str) -> Login | None:
        """The active credential called *username*."""
        row = await self._database.first("find_login", username)
        return None if row is None else login_of(row)

    async def scram(self, username: str) -> bytes | None:
        """The SCRAM keys of the active credential called *username*, if there are any."""
        row = await self._database.first("find_scram", username)
        return None if row is None else row["scram"]

    async def user_of_secret(self, secret_hash: bytes) -> str | None:
        """The user whose secret has that hash; None if no one has it, or several."""
        row = await self._database.first("find_user_of_secret", secret_hash)
        return None if row is None else row["username"]

    async def child(self, account_id: UUID, name: str) -> UUID | None:
        """The child of the account that is called *name*."""
        row = await self._database.first("find_child", account_id, name)
        return None if row is None else row["id"]

    async def owned_elsewhere(self, account_id: UUID, domains: Collection[str]) -> frozenset[str]:
        """Those of *domains* that another account has verified, and this one may not use.

        An account may use its own, those shared with it, and its children's. *domains* are in lower
        case, as A-labels.
        """
        rows = await self._database.fetch("find_owned_elsewhere", account_id, list(domains))
        return frozenset(row["name"] for row in rows)

    async def create_profile(
        self,
        account_id: UUID,
        name: str,
        *,
        preset: str,
        preset_revision: int,
        knobs: Mapping[str, Any],
        actor: str = "",
    ) -> int:
        """Add a revision of the account's profile *name*, and return its number.

        Logins from now on get it; mail that was accepted before keeps the revision it has.
        """
        async with self._database.connection() as connection, connection.transaction():
            revision: int = await connection.fetchval(
                QUERIES["create_profile"], account_id, name, preset, preset_revision, knobs
            )
            if actor:
                detail = {"profile": name, "revision": revision, "preset": preset, **knobs}
                await write_audit(connection, actor, "profile create", account_id, **detail)
            return revision

    async def own_profiles(self) -> list[Any]:
        """The newest revision of every profile of an account, with the account's name."""
        return await self._database.fetch("list_profiles")

    async def profiles(self, wanted: Iterable[ProfileKey]) -> dict[ProfileKey, AccountProfile]:
        """Those of *wanted* that are profiles of the credential's account."""
        rows = await self._database.fetch("find_profiles", list(wanted))
        return {
            (row["credential_id"], row["name"], row["revision"]): own_profile_of(row, row["name"])
            for row in rows
        }

    async def find_sending_domains(self, wanted: Collection[Owned]) -> dict[Owned, SendingDomain]:
        """Those of *wanted* that are verified domains the account may use, with active keys."""
        pairs = list(wanted)
        rows = await self._database.fetch("find_sending_domains", pairs, LED_HERE)
        found: dict[Owned, SendingDomain] = {}
        for place, group in groupby(rows, key=itemgetter("place")):
            first, *rest = group
            keys = tuple(
                SealedKey(row["selector"], row["algorithm"], row["sealed"])
                for row in (first, *rest)
                if row["selector"] is not None
            )
            found[pairs[place - 1]] = SendingDomain(
                first["name"], first["return_path_host"], keys, state_of(first)
            )
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

    async def family(self, account_id: UUID) -> list[tuple[str, UUID]]:
        """The names and ids of the account and of those whose parent it is."""
        rows = await self._database.fetch("find_family", account_id)
        return [(row["name"], row["id"]) for row in rows]

    async def domains_of(self, account_id: UUID) -> list[tuple[str, bool]]:
        """The domains that the account may use, and whether they are verified."""
        rows = await self._database.fetch("find_domains_of", account_id)
        return [(row["name"], row["verified"]) for row in rows]

    async def create_credential(
        self,
        account_id: UUID,
        username: str,
        secret: StoredSecret,
        terms: CredentialTerms = USUAL_TERMS,
        actor: str = "",
    ) -> None:
        """Make a credential; raises StoreRefused when the user name is taken, or SecretTaken."""
        permissions = sorted(terms.permissions)
        detail = {"username": username, "profile": terms.profile, "permissions": permissions}
        line = AuditLine(actor, "credential create", account_id, detail)
        row = new_row(account_id, username, secret, terms)
        await run_with_secret(
            self._database, line, "create_credential", username, secret.hash, *row
        )

    async def create_sending_domain(
        self,
        account_id: UUID,
        name: str,
        keys: Sequence[NewKey],
        *,
        return_path_host: str | None = None,
        verified: bool = False,
        onboarding: Onboarding = Onboarding.RECORDS,
        key_zone: str | None = None,
        actor: str = "",
    ) -> None:
        """Make a sending domain of the account, with its DKIM keys, which are active at once.

        *key_zone*: the zone of ours that holds their records; None: the domain's own.

        Raises StoreRefused when it exists, in whatever account: see `share_sending_domain`.
        """
        # Together: a verified domain that lacks a key would send unsigned.
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(
                QUERIES["create_sending_domain"],
                *(account_id, name, return_path_host, verified, onboarding.value, key_zone),
            )
            for k in keys:
                await connection.execute(
                    QUERIES["create_dkim_key"],
                    *(name, k.selector, k.algorithm, k.sealed, k.record, KeyState.ACTIVE.value),
                )
            if actor:
                detail = {"domain": name, "verified": verified, "onboarding": onboarding.value}
                await write_audit(connection, actor, "domain add", account_id, **detail)

    async def share_sending_domain(self, account_id: UUID, name: str, actor: str = "") -> bool:
        """Let the account use the domain *name* of another one, with its keys.

        False when there is no such domain, or the account may use it already.
        """
        line = AuditLine(actor, "domain share", account_id, {"domain": name})
        return await run_audited(self._database, line, "share_sending_domain", account_id, name)

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

    async def set_key_state(
        self, domain: str, selector: str, state: KeyState, actor: str = ""
    ) -> bool:
        """Let a DKIM key sign, or stop it; False when there is none under that selector."""
        line = AuditLine(actor, f"key {state.value}", None, {"domain": domain, "keys": selector})
        return await run_audited(
            self._database, line, "set_dkim_key_state", domain, selector, state.value
        )

    async def verify_sending_domain(
        self, account_id: UUID, name: str, actor: str = "", by: str = "word"
    ) -> bool:
        """Mark the domain as verified; False when the account has none of that name.

        *by*: what it was verified by, for the audit.
        """
        async with self._database.connection() as connection, connection.transaction():
            row = await connection.fetchrow(QUERIES["verify_sending_domain"], account_id, name)
            if row is not None and row["newly"] and actor:
                await write_audit(
                    connection, actor, "domain verify", account_id, domain=name, by=by
                )
            return row is not None

    async def sending_domains(self) -> list[Any]:
        """Every sending domain, a row for each account that may use it and each of its keys."""
        return await self._database.fetch("list_sending_domains", LED_HERE)
