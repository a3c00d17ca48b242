"""A client from nothing to what it needs to send, in one transaction (RULES E06a)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from posthouse.mail.address import Address
from posthouse.mail.lane import Lane
from posthouse.mail.secret import StoredSecret
from posthouse.profiles.choices import Onboarding
from posthouse.store.account_settings import with_parents
from posthouse.store.accounts import KeyState, NewKey
from posthouse.store.audit_log import write_audit
from posthouse.store.credentials import CredentialTerms, new_row
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES
from posthouse.store.streams import MOST_OF_AN_ACCOUNT


class BounceAddressForbidden(Exception):
    """The bounce address lies where returned mail goes, or in the sending domain (RULES E04)."""


@dataclass(frozen=True, slots=True)
class ClientDomain:
    """The sending domain of a new client."""

    name: str
    keys: tuple[NewKey, ...]
    onboarding: Onboarding
    return_path_host: str | None
    key_zone: str | None = None


@dataclass(frozen=True, slots=True)
class NewClient:
    """An account with one domain, one user whose profile is its own, and its streams."""

    name: str
    bounce_address: Address
    domain: ClientDomain
    profile: str
    preset: str
    preset_revision: int
    knobs: Mapping[str, Any]
    username: str
    highest_lane: Lane
    secret: StoredSecret
    streams: Sequence[tuple[str, str]]  # name and code


async def provision(database: Postgres, client: NewClient, actor: str) -> None:
    """Make all of it, or nothing.

    Raises BounceAddressForbidden, and StoreRefused when the name of an account, a domain or a user
    is taken.
    """
    async with database.connection() as connection, connection.transaction():
        owner = await connection.fetchval(QUERIES["create_account"], client.name, None)
        await _domain(connection, owner, client.domain)
        await _bounce_address(connection, owner, client.bounce_address)
        await connection.execute(
            QUERIES["create_profile"],
            *(owner, client.profile, client.preset, client.preset_revision, client.knobs),
        )
        terms = CredentialTerms(client.profile, highest_lane=client.highest_lane)
        await connection.execute(
            QUERIES["create_credential"], *new_row(owner, client.username, client.secret, terms)
        )
        for name, code in client.streams:
            await connection.execute(
                QUERIES["create_stream"], owner, name, code, {}, [], MOST_OF_AN_ACCOUNT, ""
            )
        await write_audit(connection, actor, "account onboard", owner, domain=client.domain.name)


async def _domain(connection: Any, owner: UUID, domain: ClientDomain) -> None:
    verified = domain.onboarding is Onboarding.TRUSTED
    await connection.execute(
        QUERIES["create_sending_domain"],
        *(owner, domain.name, domain.return_path_host, verified),
        *(domain.onboarding.value, domain.key_zone),
    )
    for k in domain.keys:
        await connection.execute(
            QUERIES["create_dkim_key"],
            *(domain.name, k.selector, k.algorithm, k.sealed, k.record, KeyState.ACTIVE.value),
        )


async def _bounce_address(connection: Any, owner: UUID, address: Address) -> None:
    hosts = with_parents(address.ascii_domain)
    row = await connection.fetchrow(QUERIES["set_bounce_address"], owner, str(address), hosts)
    if row is not None:
        raise BounceAddressForbidden(
            f"{address} cannot be the bounce address: {row['name']} is the sending domain, or "
            "takes returned mail; name an address at another domain"
        )
