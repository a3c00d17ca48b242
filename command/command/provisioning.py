"""Provisioning of a customer: credentials, and sending domains with keys."""

import base64
import os
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from itertools import count
from typing import Any
from uuid import UUID

from posthouse.mail.address import Address, InvalidAddress
from posthouse.mail.dkim_key import Algorithm, check, record
from posthouse.mail.lane import Lane
from posthouse.mail.secret import KEY_OCTETS, NONCE_OCTETS, Purpose, derive, hash_secret, seal
from posthouse.running.keys import generate
from posthouse.store import StoreRefused
from posthouse.store.account_settings import lies_in
from posthouse.store.accounts import AccountStore, KeyState, NewKey

_USERNAME_OCTETS = 5  # eight base32 digits


class NoAccount(Exception):
    """There is no account of that name."""


class NoDomain(Exception):
    """Not a domain, or none of that account."""


class NoKey(Exception):
    """The domain has no such DKIM key, or the key cannot get that state."""


class NameTaken(Exception):
    """There is one of that name already."""


class BounceAddressInside(Exception):
    """A sending domain must not contain the bounce address of its account (RULES E04)."""


@dataclass(frozen=True, slots=True)
class NewCredential:
    """A credential as its user needs it; the secret is shown this once."""

    username: str
    secret: str


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


async def create_credential(
    accounts: AccountStore,
    account: UUID,
    secret_key: bytes,
    *,
    username: str | None,
    lane: Lane,
    highest_lane: Lane,
    note: str,
    profile: str = "native",
) -> NewCredential:
    """Make a credential with a secret of 256 random bits; raises NameTaken."""
    chosen = username or f"ph-{_random_name()}"
    secret = secrets.token_urlsafe(KEY_OCTETS)
    pepper = derive(secret_key, Purpose.CREDENTIALS)
    try:
        await accounts.create_credential(
            account,
            chosen,
            hash_secret(secret, pepper),
            lane=lane,
            highest_lane=highest_lane,
            note=note,
            profile=profile,
        )
    except StoreRefused as error:
        raise NameTaken(f"there is a credential called {chosen!r} already") from error
    return NewCredential(chosen, secret)


async def add_domain(
    accounts: AccountStore,
    account: UUID,
    name: str,
    secret_key: bytes,
    *,
    algorithms: Iterable[Algorithm],
    return_path_host: str | None = None,
    verified: bool,
    today: date,
) -> tuple[NewKey, ...]:
    """Make the sending domain *name* with a DKIM key for each of *algorithms*.

    Raises NameTaken when an account has it: DNS holds one set of keys for a domain. Raises
    BounceAddressInside.
    """
    await _refuse_bounce_address(accounts, account, name)
    sealing_key = derive(secret_key, Purpose.DKIM_KEYS)
    keys = tuple(_new_key(algorithm, sealing_key, today) for algorithm in algorithms)
    try:
        await accounts.create_sending_domain(
            account, name, keys, return_path_host=return_path_host, verified=verified
        )
    except StoreRefused as error:
        owners = await _owners(accounts, name)
        raise NameTaken(
            f"{owners} the domain {name} already; `posthouse domain share {name} --account "
            "NAME` lets another account use it with the same keys"
        ) from error
    return keys


async def domain_keys(accounts: AccountStore, name: str) -> list[Any]:
    """The DKIM keys of the domain *name*, by selector; raises NoDomain when no account has it."""
    rows = {r["selector"]: r for r in await accounts.sending_domains() if r["name"] == name}
    if not rows:
        raise NoDomain(f"no account has the domain {name}; `posthouse domain add` makes it")
    return [row for selector, row in rows.items() if selector is not None]


async def add_keys(
    accounts: AccountStore,
    name: str,
    secret_key: bytes,
    *,
    algorithms: Iterable[Algorithm],
    today: date,
) -> tuple[NewKey, ...]:
    """Give the domain *name* a key for each of *algorithms* that does not sign yet."""
    taken = {row["selector"] for row in await domain_keys(accounts, name)}
    sealing_key = derive(secret_key, Purpose.DKIM_KEYS)
    keys = tuple(_new_key(algorithm, sealing_key, today, taken) for algorithm in algorithms)
    for key in keys:
        try:
            await accounts.add_key(name, key)
        except StoreRefused as error:  # another command was faster
            raise NameTaken(f"{name} has a key {key.selector} already") from error
    return keys


async def change_key_state(
    accounts: AccountStore, name: str, selector: str, state: KeyState
) -> None:
    """Let a DKIM key sign, or stop it; raises NoKey, also for the last one that signs."""
    states = {row["selector"]: row["state"] for row in await domain_keys(accounts, name)}
    if selector not in states:
        known = ", ".join(f"{one} ({state})" for one, state in states.items()) or "none"
        raise NoKey(f"{name} has no key {selector!r}; its keys: {known}")
    if states[selector] == state:
        raise NoKey(f"the key {selector} of {name} is {state} already")
    others = [one for one, state in states.items() if state == KeyState.ACTIVE and one != selector]
    if state is KeyState.RETIRED and not others:
        raise NoKey(
            f"without {selector} no key of {name} would be active, and its mail would not be "
            f"signed; activate another one first: `posthouse domain keys add {name}`"
        )
    await accounts.set_key_state(name, selector, state)


async def share_domain(accounts: AccountStore, account: UUID, name: str) -> None:
    """Let *account* send as a domain of another account, with its keys.

    Raises NoDomain and BounceAddressInside.
    """
    await _refuse_bounce_address(accounts, account, name)
    if not await accounts.share_sending_domain(account, name):
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
    accounts: AccountStore, account: UUID, name: str, secret_key: bytes, *, today: date
) -> None:
    """Let the account send as *name* at once: the domain is verified, and made if it is missing."""
    if await accounts.verify_sending_domain(account, name):
        return
    await add_domain(
        accounts, account, name, secret_key, algorithms=Algorithm, verified=True, today=today
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


def _new_key(
    algorithm: Algorithm, sealing_key: bytes, today: date, taken: Collection[str] = ()
) -> NewKey:
    pkcs8 = generate(algorithm)
    # The month tells, at rotation, which of the published keys is the old one.
    kind = algorithm.partition("-")[0]
    names = (f"ph{today:%Y%m}{'' if n == 1 else f'-{n}'}-{kind}" for n in count(1))
    return NewKey(
        selector=next(name for name in names if name not in taken),
        algorithm=algorithm.value,
        sealed=seal(pkcs8, sealing_key, os.urandom(NONCE_OCTETS)),
        record=record(check(algorithm, pkcs8)),
    )


def _random_name() -> str:
    return base64.b32encode(secrets.token_bytes(_USERNAME_OCTETS)).decode().lower()
