"""A standby with synchronous replication takes over: mail goes on, and nobody restores anything."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from chaos.flow import flowing
from chaos.knock import knock
from chaos.relay import Split, make_customer
from faults.replicas import Replica
from posthouse.store.migrate import migrate
from servers.first_data import put_first_data
from servers.patience import eventually
from servers.ports import lasting_ports
from servers.posthouse_command import call
from servers.rabbitmq import RabbitServer

pytestmark = [pytest.mark.rabbitmq, pytest.mark.long]

MESSAGES = 2000
WITNESS = "SELECT concat_ws(' ', incarnation, number, database) FROM witness"
QUARANTINED = """
SELECT (SELECT count(*) FROM quarantined_submissions)
     + (SELECT count(*) FROM quarantined_deliveries)
"""
# Results that a reader of events has not seen yet.
UNREAD = """
SELECT count(*) FROM event_cursors c JOIN events e ON e.xid > c.xid
WHERE c.reader IN ('notices', 'statistics', 'traffic', 'message_keys')
"""


class Replicated(Split):
    """On two servers, by one URL that names both."""

    def __init__(self, folder: Path, broker_url: str) -> None:
        folder.chmod(0o711)  # PostgreSQL runs as another user than root
        ports = lasting_ports(2)
        self.primary = Replica(folder / "primary", ports[0])
        self.standby = Replica(folder / "standby", ports[1])
        hosts = f"{self.primary.address},{self.standby.address}"
        url = f"postgresql://posthouse@{hosts}/posthouse?target_session_attrs=read-write"
        # The lease of a usual installation.
        settings = {"POSTHOUSE_DATABASE_URL": url, "POSTHOUSE_LEASE_SECONDS": "20"}
        super().__init__(folder, broker_url, None, settings=settings)
        self.database_url = url

    async def start_database(self) -> None:
        """Return when commits wait for the standby."""
        put_first_data(self.primary.folder)
        await self.primary.start()
        await self.standby.follow(self.primary)
        await migrate(self.database_url)
        self.customer = await make_customer(self.database_url, self._key, self._doors[0])

    async def wrong(self, *options: str) -> set[tuple[str, str]]:
        """What the doctor finds wrong: check and subject."""
        environ = self.programs["policy"]._env
        ours = {name: value for name, value in environ.items() if name.startswith("POSTHOUSE_")}
        arguments = ("doctor", "--local", "--json", *options)
        found = json.loads((await asyncio.to_thread(call, *arguments, **ours)).stdout)
        return {(one["check"], one["subject"]) for one in found if one["state"] == "wrong"}

    async def close(self) -> None:
        """End everything but the broker."""
        await super().close()
        self.primary.close()
        self.standby.close()


@pytest_asyncio.fixture
async def relay(rabbitmq_server: RabbitServer, tmp_path: Path) -> AsyncIterator[Replicated]:
    made = Replicated(tmp_path, rabbitmq_server.url)
    try:
        await made.start()
        yield made
    finally:
        await made.close()


@pytest.mark.parametrize("silent", [False, True], ids=["killed", "silent"])
async def test_a_standby_takes_over_and_mail_goes_on(relay: Replicated, silent: bool) -> None:
    """Of what had its 250 nothing is lost, of what was sent nothing is sent again."""
    wrong = await relay.wrong()
    known = await relay.standby.sql(WITNESS)
    async with flowing(relay, MESSAGES) as flow:
        await flow.reached(0.4)
        if silent:
            relay.primary.fall_silent()
        else:
            relay.primary.kill()
        assert await relay.standby.sql("SELECT pg_promote()")
        await flow.reached(0.7)
        relay.primary.close()  # what the test asks next would wait for it
        count = await flow.all_through(within=90)
    assert (MESSAGES, 0, 0) == (count.accepted, count.refused, count.lost), count
    # A client that heard nothing sends again; a message on the wire at that moment is owned up to.
    assert (0, 0, 0) == (count.unlogged, count.delivered_twice, count.unexplained), count
    assert count.doubled <= count.uncertain, count

    assert (0, known) == (await relay.standby.sql(QUARANTINED), await relay.standby.sql(WITNESS))

    async def all_is_read() -> bool:
        return await relay.standby.sql(UNREAD) == 0

    await eventually(all_is_read)
    assert wrong | {("restored", "timeline")} == await relay.wrong()
    assert wrong == await relay.wrong("--accept-timeline")


async def test_without_its_standby_the_primary_promises_nothing(relay: Replicated) -> None:
    """Clients hear so; when the operator takes it out of the names, mail goes on."""
    relay.standby.kill()
    assert (await knock(relay.customer.normal, within=30)).startswith("451 ")
    await relay.primary.sql("ALTER SYSTEM RESET synchronous_standby_names")
    await relay.primary.sql("SELECT pg_reload_conf()")

    async def taken() -> bool:
        return (await knock(relay.customer.normal, number=1)).startswith("250 ")

    await eventually(taken)
