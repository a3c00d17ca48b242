"""From the version where 0026 to 0031 began to this one, and back, under load: nothing shows.

In the order in which an older dispatcher meets what only this version can read (decision 0049).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import dkim
import pytest
import pytest_asyncio
from bench.load import Plan
from bench.load_session import Door
from bench.sink import Sink
from bench.sink_session import Arrival, Manners, Outcome

from chaos.flow import Flow
from chaos.ledger import Ledger
from chaos.relay import SENDER_DOMAIN, Customer, Split
from faults.database import command
from faults.versions import THIS_VERSION, of_version, posthouse, replace, version_of
from onebox.postgres_server import EmbeddedPostgres
from servers.rabbitmq import RabbitServer

pytestmark = [pytest.mark.rabbitmq, pytest.mark.long]

BEFORE, SCHEMA_BEFORE = "ffddff3", 25
SERVICES = ("ingest", "policy", "bounces", "dispatcher")
TRACKED, PLAIN = f"news@{SENDER_DOMAIN}", f"shop@{SENDER_DOMAIN}"
LINKS_TO = "https://t.relay.example"
MESSAGES, RATE = 1200, 40.0
# One in ten is to be tried again, a minute later or when it is nudged: by whatever runs then.
MANNERS = Manners(delay=0.01, soft=0.1, keep=True)
NEWEST = "SELECT id FROM submissions ORDER BY id DESC LIMIT 1"
STORED = """
SELECT count(*) FILTER (WHERE r.edits IS NOT NULL) AS edits,
       count(*) FILTER (WHERE r.body IS NOT NULL) AS whole
FROM renditions r WHERE r.submission_id > $1
"""


class Older(Split):
    """All of it of the version before; newsletters of its customer are tracked."""

    def __init__(self, folder: Path, broker_url: str, before: Mapping[str, str]) -> None:
        self.before = before
        self._empty = EmbeddedPostgres(folder / "postgres")
        tracking = {"POSTHOUSE_TRACKING_URL": LINKS_TO}
        super().__init__(folder, broker_url, None, copies=2, settings=tracking)

    async def start_database(self) -> None:
        """Return when it has the schema of that version, and knows the customer."""
        async with self._empty:
            await self.command(self.before, "migrate")
        await self._postgres.start()
        made = await self.command(
            self.before,
            *("credential", "create", "--account", "tests", "--domain", SENDER_DOMAIN, "--json"),
        )
        user = json.loads(made)
        door = Door("127.0.0.1", self._doors[0], user["username"], user["secret"])
        self.customer = Customer(normal=door, bulk=door)
        tracked = ("--account", "tests", "--open-tracking", "on", "--click-tracking", "on")
        await self.command(self.before, "account", "sender", "set", TRACKED, *tracked)
        for name, program in self.programs.items():
            self.programs[name] = of_version(program, name.split()[0], self.before)

    async def command(self, version: Mapping[str, str], *arguments: str) -> str:
        """What `posthouse` of that version says about it."""
        environ = {**self.programs["policy"]._env, **version}
        return await asyncio.to_thread(posthouse, environ, *arguments)


@pytest_asyncio.fixture
async def relay(rabbitmq_server: RabbitServer, tmp_path: Path) -> AsyncIterator[Older]:
    """Two of each service."""
    made = Older(tmp_path, rabbitmq_server.url, version_of(BEFORE, tmp_path / "before"))
    try:
        await made.start()
        yield made
    finally:
        await made.close()


def plans(doors: Sequence[Door]) -> list[Plan]:
    """At each door, as many tracked newsletters as plain messages."""
    kinds = [(door, tracked) for door in doors for tracked in (True, False)]
    each = MESSAGES // len(kinds)
    return [
        Plan(
            door,
            messages=each,
            first=each * place,
            connections=5,
            sender=TRACKED if tracked else PLAIN,
            newsletter=tracked,
            rate=RATE / len(kinds),
            persist=True,
        )
        for place, (door, tracked) in enumerate(kinds)
    ]


async def replace_all(relay: Split, environ: Mapping[str, str], *services: str) -> None:
    """One by one, in this order."""
    for service in services:
        for name in [name for name in relay.programs if name.split()[0] == service]:
            await replace(relay, name, environ)


async def all_signed(relay: Split, arrivals: Sequence[Arrival]) -> None:
    """Each is what was signed, and tracked if it is to be."""
    keys = await command(relay.database_url, "SELECT selector, record FROM dkim_keys")
    records = {
        f"{key['selector']}._domainkey.{SENDER_DOMAIN}.".encode(): key["record"].encode()
        for key in keys
    }
    for arrival in arrivals:
        assert dkim.verify(arrival.content, dnsfunc=lambda name, **_: records.get(name)), arrival
        tracked = f"From: {TRACKED}".encode() in arrival.content
        assert tracked == (f"{LINKS_TO}/c/".encode() in arrival.content)
        assert b"shop.bench.example" not in arrival.content


async def test_an_upgrade_and_the_way_back_lose_double_and_mistake_nothing(relay: Older) -> None:
    """Up policy first, and down dispatchers first: the harder order for both."""

    async def stored(after: object) -> tuple[int, int]:
        """Renditions of later messages that are stored as edits, and with a body."""
        (row,) = await command(relay.database_url, STORED.replace("$1", f"'{after}'"))
        return row["edits"], row["whole"]

    async with Sink(MANNERS, port=relay.sink_port) as sink:
        ledger = Ledger(relay.database_url)
        flow = Flow(plans(relay.doors), sink, ledger, await ledger.now())
        try:
            await flow.reached(0.05)
            flow.allow(0.3)
            said = await relay.command(THIS_VERSION, "migrate")
            assert f"applied {SCHEMA_BEFORE + 1:04}" in said
            await replace_all(relay, THIS_VERSION, "policy")
            (newest,) = await command(relay.database_url, NEWEST)
            flow.allow(0.5)
            await flow.reached(0.45)
            _, whole = await stored(newest["id"])
            assert whole, "no older dispatcher met a body stored as edits"

            await replace_all(relay, THIS_VERSION, "ingest", "bounces", "dispatcher")
            flow.allow(0.75)
            await flow.reached(0.7)
            edits, _ = await stored(newest["id"])
            assert edits, "this version stored no body as edits"

            await replace_all(relay, relay.before, *reversed(SERVICES))
            assert flow.accepted < MESSAGES
            flow.allow(1)
            count = await flow.all_through(within=60, nudging=True)
        finally:
            await flow.close()

    assert (MESSAGES, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert (0, 0, 0) == (count.doubled, count.uncertain, count.resubmitted), count
    assert (0, 0) == (count.delivered_twice, count.unexplained), count
    await all_signed(relay, [one for one in sink.arrivals if one.outcome is Outcome.TAKEN])
