"""A rotation of DKIM keys over a real database and a real name server, step by step."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

import pytest

from policy.key_rotation import ROTATION_WAIT, KeyRotation
from posthouse.dns.resolver import DnsClient
from posthouse.mail.dkim_key import Algorithm, zone_text
from posthouse.mail.dns_answer import DnsAnswer
from posthouse.running.keys import NoFreeSelector, begin_rotation, make_keys
from posthouse.store.accounts import AccountStore
from posthouse.store.key_rotations import KeyRotations
from servers.dns_stub import DnsStub, dns_stub
from servers.name_server import NameServer
from servers.stores import ACCOUNT, Stores, delivered, open_stores

KEY, TODAY, NAME = bytes(32), date(2026, 11, 29), "x.example"
Table: TypeAlias = dict[tuple[str, str], tuple[str, ...]]


@dataclass
class World:
    """A domain with an active RSA key, whose rotation is looked at when a test says so."""

    stores: Stores
    zone: Table
    server: DnsStub
    rotations: KeyRotations
    service: KeyRotation

    async def look(self) -> None:
        """Look at the rotation, though it may be due later."""
        await self.stores.sql("UPDATE key_rotations SET look_at = now()")
        await self.service.look()

    async def later(self, column: str, interval: str) -> None:
        """Let a step have happened *interval* earlier."""
        table = "dkim_keys" if column == "retired_at" else "key_rotations"
        await self.stores.sql(f"UPDATE {table} SET {column} = {column} - interval '{interval}'")  # noqa: S608

    async def states(self) -> dict[str, str]:
        """The state of each key by its selector."""
        return {row["selector"]: row["state"] for row in await self.rotations.keys(NAME)}

    async def signing(self) -> list[str]:
        """The selectors that policy signs with now."""
        found = await AccountStore(self.stores.database).find_sending_domains([(ACCOUNT, NAME)])
        return [key.selector for key in found[ACCOUNT, NAME].keys]

    async def start(self) -> str:
        """Start a rotation; the text of its key."""
        (made,) = await begin_rotation(self.rotations, NAME, KEY, TODAY, "root")
        return made.record


MakeWorld: TypeAlias = Callable[..., Awaitable[World]]


@pytest.fixture
async def make_world(database: str) -> AsyncIterator[MakeWorld]:
    zone: Table = {("another.example", "A"): ("192.0.2.1",)}
    async with open_stores(database) as stores, dns_stub(NameServer(zone)) as server:
        rotations = KeyRotations(stores.database)
        dns = DnsClient((server.address,), timeout=0.5)

        async def make(key_zone: str | None = None) -> World:
            keys = make_keys([Algorithm.RSA], KEY, TODAY, in_slots=key_zone is not None)
            await AccountStore(stores.database).create_sending_domain(
                ACCOUNT, NAME, keys, verified=True, key_zone=key_zone
            )
            service = KeyRotation(rotations, dns, KEY, lambda: TODAY)
            return World(stores, zone, server, rotations, service)

        yield make


OLD, NEW = "ph202611-rsa", "ph202611-2-rsa"


async def test_a_rotation_from_its_start_to_its_end(make_world: MakeWorld) -> None:
    world = await make_world()
    text = await world.start()
    assert {OLD: "active", NEW: "published"} == await world.states()
    assert () == await begin_rotation(world.rotations, NAME, KEY, TODAY, "root")

    # It waits for the record, and says since when and why.
    await world.later("started_at", "2 days")
    await world.look()
    rotation = await world.rotations.read(NAME)
    assert rotation is not None
    assert rotation["finding"] == f"{NEW}: there is no TXT record: publish it"
    assert 172_800 <= ROTATION_WAIT._value.get() < 172_900
    assert [OLD] == await world.signing()

    # Seen for an hour, and only then does it sign.
    world.zone[f"{NEW}._domainkey.{NAME}", "TXT"] = (zone_text(text),)
    await world.look()
    assert 0 == ROTATION_WAIT._value.get()
    await world.look()
    assert [OLD] == await world.signing()
    (mail,) = await world.stores.queue(recipients=("ann@dest.example",))
    await world.later("seen_at", "1 hour")
    await world.look()
    assert {OLD: "retired", NEW: "active"} == await world.states()
    assert [NEW] == await world.signing()

    # The old key is kept for a week, and longer while mail that it signed is open.
    await world.later("switched_at", "6 days 23 hours")
    await world.look()
    assert {OLD: "retired", NEW: "active"} == await world.states()
    await world.later("switched_at", "2 hours")
    await world.look()
    assert {OLD: "retired", NEW: "active"} == await world.states(), mail
    await world.stores.deliveries.settle(delivered(await world.stores.claim_one()))
    await world.look()
    assert {NEW: "active"} == await world.states()
    assert await world.rotations.read(NAME) is None
    audit = await world.stores.sql("SELECT actor, action FROM audit ORDER BY id")
    assert [
        ("root", "rotation started"),
        ("posthouse", "keys switched"),
        ("posthouse", "keys removed"),
    ] == [tuple(row) for row in audit]


async def test_a_record_that_vanishes_is_waited_for_again(make_world: MakeWorld) -> None:
    world = await make_world()
    text = await world.start()
    name = (f"{NEW}._domainkey.{NAME}", "TXT")
    world.zone[name] = (zone_text(text),)
    await world.look()
    del world.zone[name]
    await world.later("seen_at", "1 day")
    await world.look()
    world.zone[name] = (zone_text(text.replace("p=", "p=AAAA")),)
    await world.look()
    rotation = await world.rotations.read(NAME)
    assert rotation is not None
    assert (rotation["seen_at"], "another key" in rotation["finding"]) == (None, True)
    assert [OLD] == await world.signing()


async def test_one_that_was_started_during_a_look_waits_for_its_own_records(
    make_world: MakeWorld,
) -> None:
    world = await make_world()

    class Meanwhile(DnsClient):
        is_first = True

        async def ask(self, name: str, kind: str) -> DnsAnswer:
            found = await super().ask(name, kind)
            if self.is_first:
                self.is_first = False
                await world.rotations.remove_key(NAME, NEW, "root")
                await world.start()
            return found

    world.zone[f"{NEW}._domainkey.{NAME}", "TXT"] = (zone_text(await world.start()),)
    await world.look()
    await world.later("seen_at", "1 hour")
    dns = Meanwhile((world.server.address,), timeout=0.5)
    world.service = KeyRotation(world.rotations, dns, KEY, lambda: TODAY)
    await world.look()
    assert {OLD: "active", NEW: "published"} == await world.states()


async def test_told_to_stop_it_leaves_the_others_to_the_next_process(
    make_world: MakeWorld,
) -> None:
    world = await make_world()
    keys = make_keys([Algorithm.RSA], KEY, TODAY)
    store = AccountStore(world.stores.database)
    await store.create_sending_domain(ACCOUNT, "y.example", keys, verified=True)
    await world.start()
    await begin_rotation(world.rotations, "y.example", KEY, TODAY, "root")
    stopping = asyncio.Event()
    asked: list[str] = []

    class Stopped(DnsClient):
        async def ask(self, name: str, kind: str) -> DnsAnswer:
            stopping.set()
            asked.append(name)
            return await super().ask(name, kind)

    dns = Stopped((world.server.address,), timeout=0.5)
    await KeyRotation(world.rotations, dns, KEY, lambda: TODAY).run(stopping)
    assert 1 == len(asked)


async def test_a_dns_without_an_answer_switches_nothing(make_world: MakeWorld) -> None:
    world = await make_world()
    text = await world.start()
    name = f"{NEW}._domainkey.{NAME}"
    world.zone[name, "TXT"] = (zone_text(text),)
    await world.look()
    await world.later("seen_at", "1 day")
    world.server.servfail = frozenset({name})
    await world.look()
    rotation = await world.rotations.read(NAME)
    assert rotation is not None
    assert "DNS gave no answer" in rotation["finding"]
    assert [OLD] == await world.signing()


async def test_C16_keys_by_cname_rotate_without_the_owner(make_world: MakeWorld) -> None:
    """The owner published two CNAME records once; every key after that changes in our zone."""
    ours = "dkim.relay.example"
    world = await make_world(key_zone=ours)
    for selector in ("ph1-rsa", "ph2-rsa"):
        target = f"{selector}.{NAME}.{ours}"
        world.zone[f"{selector}._domainkey.{NAME}", "CNAME"] = (f"{target}.",)
    before = dict(world.zone)
    for old, new in (("ph1-rsa", "ph2-rsa"), ("ph2-rsa", "ph1-rsa")):
        text = await world.start()
        world.zone[f"{new}.{NAME}.{ours}", "TXT"] = (zone_text(text),)
        await world.look()
        await world.later("seen_at", "1 hour")
        await world.look()
        assert [new] == await world.signing()
        # Until the old key has gone there is no room for another one.
        with pytest.raises(NoFreeSelector):
            await world.start()
        await world.later("switched_at", "8 days")
        await world.look()
        assert {new: "active"} == await world.states(), old
    assert before == {key: value for key, value in world.zone.items() if key in before}


async def test_a_schedule_starts_rotations_by_itself(make_world: MakeWorld) -> None:
    world = await make_world()
    assert await world.rotations.schedule(NAME, 30)
    assert () == await world.rotations.scheduled()
    await world.stores.sql("UPDATE dkim_keys SET activated_at = now() - interval '31 days'")
    assert (NAME,) == await world.rotations.scheduled()
    await world.service.look()
    assert {OLD: "active", NEW: "published"} == await world.states()
    assert () == await world.rotations.scheduled()
    await world.rotations.schedule(NAME, None)
    assert () == await world.rotations.scheduled()
