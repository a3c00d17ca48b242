"""The DKIM keys of sending domains: made, activated, retired."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

from command.provisioning import NameTaken, NoDomain
from posthouse.mail.dkim_key import Algorithm
from posthouse.mail.secret import Purpose, derive
from posthouse.running.keys import begin_rotation, make_keys
from posthouse.store import StoreRefused
from posthouse.store.accounts import AccountStore, KeyState, NewKey
from posthouse.store.key_rotations import KeyRotations
from posthouse.store.postgres import Postgres


class NoKey(Exception):
    """The domain has no such DKIM key, or the key cannot get that state."""


async def domain_of(accounts: AccountStore, name: str) -> list[Any]:
    """A row for each DKIM key of the domain *name*, or one without a selector; raises NoDomain."""
    rows = {r["selector"]: r for r in await accounts.sending_domains() if r["name"] == name}
    if not rows:
        raise NoDomain(f"no account has the domain {name}; `posthouse domain add` makes it")
    return list(rows.values())


async def domain_keys(accounts: AccountStore, name: str) -> list[Any]:
    """The DKIM keys of the domain *name*, by selector; raises NoDomain when no account has it."""
    return [row for row in await domain_of(accounts, name) if row["selector"] is not None]


async def add_keys(
    accounts: AccountStore,
    name: str,
    secret_key: bytes,
    *,
    algorithms: Iterable[Algorithm],
    today: date,
) -> tuple[NewKey, ...]:
    """Give the domain *name* a key for each of *algorithms* that does not sign yet."""
    rows = await domain_of(accounts, name)
    taken = {row["selector"] for row in rows}
    sealing_key = derive(secret_key, Purpose.DKIM_KEYS)
    in_slots = rows[0]["key_zone"] is not None
    keys = make_keys(algorithms, sealing_key, today, taken, in_slots=in_slots)
    for key in keys:
        try:
            await accounts.add_key(name, key)
        except StoreRefused as error:  # another command was faster
            raise NameTaken(f"{name} has a key {key.selector} already") from error
    return keys


async def change_key_state(
    accounts: AccountStore, name: str, selector: str, state: KeyState, actor: str
) -> None:
    """Let a DKIM key sign, or stop it; raises NoKey, also for the last one that signs."""
    states = {row["selector"]: row["state"] for row in await domain_keys(accounts, name)}
    if selector not in states:
        known = ", ".join(f"{one} ({state})" for one, state in states.items()) or "none"
        raise NoKey(f"{name} has no key {selector!r}; its keys: {known}")
    if states[selector] == state:
        raise NoKey(f"the key {selector} of {name} is {state} already")
    if state is KeyState.RETIRED and states[selector] == KeyState.PUBLISHED:
        raise NoKey(
            f"the key {selector} of {name} has not signed yet: "
            f"`posthouse domain keys remove {name} {selector}` deletes it"
        )
    others = [one for one, state in states.items() if state == KeyState.ACTIVE and one != selector]
    if state is KeyState.RETIRED and not others:
        raise NoKey(
            f"without {selector} no key of {name} would be active, and its mail would not be "
            f"signed; activate another one first: `posthouse domain keys add {name}`"
        )
    await accounts.set_key_state(name, selector, state, actor)


async def start_rotation(
    database: Postgres, name: str, secret_key: bytes, actor: str
) -> tuple[str, ...]:
    """Start a rotation of the domain's keys; the selectors of the new ones. Raises NoKey."""
    rotations = KeyRotations(database)
    sealing_key, today = derive(secret_key, Purpose.DKIM_KEYS), datetime.now(UTC).date()
    made = await begin_rotation(rotations, name, sealing_key, today, actor)
    if made:
        return tuple(key.selector for key in made)
    if await rotations.read(name) is not None:
        raise NoKey(
            f"a rotation of {name} is under way: `posthouse domain keys list {name}` says how far"
        )
    raise NoKey(f"no key of {name} signs; make one: `posthouse domain keys add {name}`")


async def remove_key(database: Postgres, name: str, selector: str, actor: str) -> None:
    """Delete a key that does not sign; raises NoDomain and NoKey."""
    states = {r["selector"]: r["state"] for r in await domain_keys(AccountStore(database), name)}
    if states.get(selector) == KeyState.ACTIVE:
        raise NoKey(f"the key {selector} of {name} signs; retire it first")
    if not await KeyRotations(database).remove_key(name, selector, actor):
        known = ", ".join(f"{one} ({state})" for one, state in states.items()) or "none"
        raise NoKey(f"{name} has no key {selector!r}; its keys: {known}")
