"""From `posthouse up` to a PostgreSQL and programs of their own: mail that waits comes along.

Step by step as docs/operating.md says ("Moving to another form").
"""

import asyncio
import base64
import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dkim
import pytest
import pytest_asyncio
from bench.sink import Sink
from bench.sink_session import Manners, Refusal

from chaos.knock import knock
from chaos.relay import SENDER_DOMAIN, Onebox, Split
from faults.database import command
from onebox.postgres_server import EmbeddedPostgres
from servers.patience import eventually, until
from servers.posthouse_command import call
from servers.rabbitmq import RabbitServer

pytestmark = [pytest.mark.rabbitmq, pytest.mark.long]

EACH = 10  # of each kind
SENT, LOOKED_AT, LATE, HELD, SCHEDULED, NEW = range(0, 6 * EACH, EACH)
REFUSING = Manners(refusals=(Refusal("late*", "451 4.2.0 Later"),))
TAGGED = "X-Posthouse-Tag: prices\r\n"


class Separate(Split):
    """Programs of their own, for a database that is still empty."""

    def __init__(self, folder: Path, broker_url: str, secret_key: str) -> None:
        self._empty = EmbeddedPostgres(folder / "postgres")
        super().__init__(folder, broker_url, None, settings={"POSTHOUSE_SECRET_KEY": secret_key})

    async def start_database(self) -> None:
        """Return when it answers; there is nothing in it."""
        async with self._empty:
            pass
        await self._postgres.start()

    async def start_programs(self) -> None:
        """Return when every service is ready."""
        for program in self.programs.values():
            await program.start()


@pytest_asyncio.fixture
async def up(tmp_path: Path) -> AsyncIterator[Onebox]:
    """A relay in one process."""
    made = Onebox(tmp_path / "up")
    (tmp_path / "up").mkdir(mode=0o711)
    try:
        await made.start()
        yield made
    finally:
        await made.close()


@pytest_asyncio.fixture
async def separate(
    rabbitmq_server: RabbitServer, tmp_path: Path, up: Onebox
) -> AsyncIterator[Separate]:
    """What it is moved to."""
    (tmp_path / "separate").mkdir(mode=0o711)
    key = base64.b64encode(up._key).decode()
    made = Separate(tmp_path / "separate", rabbitmq_server.url, key)
    try:
        await made.start_database()
        yield made
    finally:
        await made.close()


async def posthouse(relay: Onebox | Separate, *arguments: str) -> str:
    """What the command says about one of them."""
    program = relay.program if isinstance(relay, Onebox) else relay.programs["policy"]
    ours = {name: it for name, it in program._env.items() if name.startswith("POSTHOUSE_")}
    done = await asyncio.to_thread(call, *arguments, **ours)
    assert 0 == done.returncode, done.stderr
    return done.stdout


async def waiting(relay: Onebox | Separate) -> dict[str, int]:
    """How many messages wait, by state."""
    lines = json.loads(await posthouse(relay, "queue", "--json"))
    found: Counter[str] = Counter()
    for line in lines:
        found[line["state"]] += line["messages"]
    return dict(found)


async def submit(up: Onebox, first: int, user: str, fields: str = "") -> None:
    """Ten messages, numbered from *first* on."""
    for number in range(first, first + EACH):
        to = f"{user}{number}@dest.example"
        door = up.customer.normal
        said = await knock(door, recipient=to, number=number, fields=fields)
        assert said.startswith("250 "), said


async def wait_for(relay: Onebox | Separate, **states: int) -> None:
    """Return when exactly so much waits."""

    async def waits() -> bool:
        return await waiting(relay) == states

    await eventually(waits, look=0.5)


async def fill(up: Onebox) -> None:
    """Have mail in it that was sent, and mail that waits in each way."""
    async with Sink(REFUSING, port=up.sink_port) as sink:
        await submit(up, SENT, "ann")
        await submit(up, LOOKED_AT, "late")
        await wait_for(up, deferred=EACH)
        await posthouse(up, "queue", "quarantine", "--reason", "a look")
        await submit(up, HELD, "late", TAGGED)
        await submit(up, LATE, "late")
        later = datetime.now(UTC) + timedelta(days=10)
        await submit(up, SCHEDULED, "bob", f"X-Posthouse-Send-At: {later.isoformat()}\r\n")
        await wait_for(up, quarantined=EACH, deferred=2 * EACH, scheduled=EACH)
        chosen = ("--tag", "prices", "--reason", "wrong prices", "--yes")
        await posthouse(up, "queue", "hold", *chosen)
        await wait_for(up, quarantined=EACH, held=EACH, deferred=EACH, scheduled=EACH)
        assert EACH == len(sink.arrivals)


def numbers(*firsts: int) -> list[str]:
    """Those of all messages of these kinds."""
    return sorted(str(n) for first in firsts for n in range(first, first + EACH))


async def test_mail_that_waits_is_moved_and_nothing_is_lost_or_doubled(
    up: Onebox, separate: Separate, tmp_path: Path
) -> None:
    await fill(up)
    await up.program.stop()
    await posthouse(up, "backup", str(tmp_path / "mail.dump"))
    await posthouse(separate, "restore", str(tmp_path / "mail.dump"))
    await separate.start_programs()
    async with Sink(Manners(keep=True), port=separate.sink_port) as sink:

        async def came(*firsts: int) -> None:
            """Exactly these have arrived, each once."""
            await until(lambda: len(sink.arrivals) >= EACH * len(firsts))
            assert numbers(*firsts) == sorted(arrival.id for arrival in sink.arrivals)

        assert 4 * EACH == sum((await waiting(separate)).values())
        await posthouse(separate, "queue", "release", "--reason", "restored", "--yes")
        await came(LATE)
        await wait_for(separate, quarantined=2 * EACH, scheduled=EACH)
        await posthouse(separate, "queue", "release", "--reason", "wrong prices", "--yes")
        await came(LATE, HELD)
        await posthouse(separate, "queue", "release", "--reason", "a look", "--yes")
        await came(LATE, HELD, LOOKED_AT)
        await wait_for(separate, scheduled=EACH)
        at_new = up.customer.normal
        for number in range(NEW, NEW + EACH):
            door = type(at_new)(at_new.host, separate._doors[0], at_new.user, at_new.secret)
            assert (await knock(door, number=number)).startswith("250 ")
        await came(LATE, HELD, LOOKED_AT, NEW)

    keys = await command(separate.database_url, "SELECT selector, record FROM dkim_keys")
    records = {
        f"{key['selector']}._domainkey.{SENDER_DOMAIN}.".encode(): key["record"].encode()
        for key in keys
    }
    for arrival in sink.arrivals:
        assert dkim.verify(arrival.content, dnsfunc=lambda name, **_: records.get(name))
