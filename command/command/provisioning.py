"""Provisioning of a customer: credentials, and sending domains with keys."""

import base64
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from posthouse.mail.address import Address, InvalidAddress
from posthouse.mail.dkim_key import Algorithm
from posthouse.mail.secret import Purpose, derive
from posthouse.profiles.choices import Onboarding
from posthouse.running.keys import make_keys
from posthouse.store import StoreRefused
from posthouse.store.account_settings import lies_in
from posthouse.store.accounts import AccountStore

_CODE_OCTETS = 10  # sixteen


class NoAccount(Exception):
    """There is no account of that name."""


class NoDomain(Exception):
    """Not a domain, or none of that account."""


class NameTaken(Exception):
    """There is one of that name already."""


class BounceAddressInside(Exception):
    """A sending domain must not contain the bounce address of its account (RULES E04)."""


@dataclass(frozen=True, slots=True)
class DomainWay:
    """How a new sending domain is set up."""

    onboarding: Onboarding = Onboarding.RECORDS
    verified: bool = False  # by the operator's word; a trusted one always is
    key_zone: str | None = None
    return_path_host: str | None = None


async def account_id(accounts: AccountStore, name: str) -> UUID:
    """The account called *name*; raises NoAccount, which names all accounts."""
    found = await accounts.account(name)
    if found is None:
        known = ", ".join(repr(row["name"]) for row in await accounts.accounts()) or "none yet"
        raise NoAccount(f"no account is called {name!r}; there is: {known}")
    return found


async def ensure_account(accounts: AccountStore, name: str) -> UUID:
    """The account called *name*, made if it is missing."""
    found = await accounts.account(name)
    if found is not None:
        return found
    try:
        return await accounts.create_account(name)
    except StoreRefused:  # another command was faster
        return await account_id(accounts, name)


def random_code() -> str:
    """The code of a stream, which nobody can guess."""
    return base64.b32encode(secrets.token_bytes(_CODE_OCTETS)).decode().lower()


async def add_domain(
    accounts: AccountStore,
    account: UUID,
    name: str,
    secret_key: bytes,
    *,
    algorithms: Iterable[Algorithm],
    today: date,
    way: DomainWay,
    actor: str,
) -> None:
    """Make the sending domain *name* with a DKIM key for each of *algorithms*.

    Raises NameTaken when an account has it: DNS holds one set of keys for a domain. Raises
    BounceAddressInside.
    """
    await _refuse_bounce_address(accounts, account, name)
    sealing_key = derive(secret_key, Purpose.DKIM_KEYS)
    keys = make_keys(algorithms, sealing_key, today, in_slots=way.key_zone is not None)
    try:
        await accounts.create_sending_domain(
            account,
            name,
            keys,
            return_path_host=way.return_path_host,
            verified=way.verified or way.onboarding is Onboarding.TRUSTED,
            onboarding=way.onboarding,
            key_zone=way.key_zone,
            actor=actor,
        )
    except StoreRefused as error:
        raise await _taken(accounts, name) from error


async def _taken(accounts: AccountStore, name: str) -> NameTaken:
    owners = await _owners(accounts, name)
    return NameTaken(
        f"{owners} the domain {name} already; `posthouse domain share {name} --account "
        "NAME` lets another account use it with the same keys"
    )


async def share_domain(accounts: AccountStore, account: UUID, name: str, actor: str) -> None:
    """Let *account* send as a domain of another account, with its keys.

    Raises NoDomain and BounceAddressInside.
    """
    await _refuse_bounce_address(accounts, account, name)
    if not await accounts.share_sending_domain(account, name, actor):
        owners = await _owners(accounts, name)
        raise NoDomain(
            f"{owners} the domain {name} already"
            if owners
            else f"no account has the domain {name}; `posthouse domain add` makes it"
        )


async def _refuse_bounce_address(accounts: AccountStore, account: UUID, domain: str) -> None:
    address = (await accounts.settings.read(account)).bounce_address
    if address and lies_in(address, domain):
        raise BounceAddressInside(
            f"the account's bounce address {address} lies in {domain}; give it another one first: "
            "`posthouse account set NAME --bounce-address ADDRESS`"
        )


async def _owners(accounts: AccountStore, name: str) -> str:
    """The account that has the domain *name*, as the beginning of a sentence; "" if none has."""
    rows = await accounts.sending_domains()
    found = tuple(dict.fromkeys(row["account"] for row in rows if row["name"] == name))
    match found:
        case ():
            return ""
        case (only,):
            return f"the account {only} has"
        case _:
            return f"the accounts {' and '.join(found)} have"


async def ensure_domain(
    accounts: AccountStore, account: UUID, name: str, secret_key: bytes, *, today: date, actor: str
) -> None:
    """Let the account send as *name* at once: the domain is verified, and made if it is missing."""
    if await accounts.verify_sending_domain(account, name, actor):
        return
    way = DomainWay(verified=True)
    await add_domain(
        accounts,
        account,
        name,
        secret_key,
        algorithms=Algorithm,
        today=today,
        way=way,
        actor=actor,
    )


async def domain_rows(accounts: AccountStore, account: str, name: str) -> list[Any]:
    """The domain *name* of that account, a row for each key; raises NoDomain."""
    rows = [
        row
        for row in await accounts.sending_domains()
        if (row["account"], row["name"]) == (account, name)
    ]
    if not rows:
        raise NoDomain(f"the account {account!r} has no domain {name}")
    return rows


def domain_name(text: str) -> str:
    """*text* as sending domains are stored: in lower case, an IDN as A-labels; raises NoDomain."""
    try:
        address = Address.parse(f"postmaster@{text.rstrip('.')}")
    except InvalidAddress as error:
        raise NoDomain(f"{text!r} is not a domain") from error
    if address.is_literal or "." not in address.domain:
        raise NoDomain(f"{text!r} is not a domain that can be published in DNS")
    return address.ascii_domain
