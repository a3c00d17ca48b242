"""A version and the next one side by side, replaced one by one under load: nothing shows."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from chaos.flow import flowing
from chaos.relay import Split
from faults.database import command
from faults.versions import ROOT, THIS_VERSION, posthouse, replace, sources_first
from servers.rabbitmq import RabbitServer

pytestmark = pytest.mark.rabbitmq

PACKAGES = (
    "libs/common/posthouse",
    "services/ingest/ingest",
    "services/policy/policy",
    "services/dispatcher/dispatcher",
    "services/bounces/bounces",
    "services/tracking/tracking",
    "services/webhooks/webhooks",
    "services/console/console",
    "deploy/onebox/onebox",
    "command/command",
)
# All that a migration may do, to the tables that every service reads and writes.
MIGRATION = """-- migrate:up
ALTER TABLE submissions ADD COLUMN note text;
ALTER TABLE deliveries ADD COLUMN note text;
ALTER TABLE due_submissions ADD COLUMN hurry boolean NOT NULL DEFAULT false;
ALTER TABLE due_deliveries ADD COLUMN hurry boolean NOT NULL DEFAULT false;
CREATE TABLE next_things (id uuid PRIMARY KEY);
"""
HINT = "spec.Basic.Properties(delivery_mode=_TRANSIENT)"
NEXT_HINT = (
    'spec.Basic.Properties(delivery_mode=_TRANSIENT, headers={"why": "of the next version"})'
)
MESSAGES, RATE = 1200, 60.0


@pytest.fixture
def next_version(tmp_path: Path) -> Mapping[str, str]:
    """What to start a program with so that it is the next version."""
    source = tmp_path / "next"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / Path(package).name)
    (source / "posthouse/store/migrations/9999_next.sql").write_text(MIGRATION)
    broker = source / "posthouse/broker/rabbitmq_session.py"
    assert HINT in broker.read_text()
    broker.write_text(broker.read_text().replace(HINT, NEXT_HINT))
    return sources_first(source)


@pytest_asyncio.fixture
async def relay(rabbitmq_server: RabbitServer, tmp_path: Path) -> AsyncIterator[Split]:
    """Two of each service."""
    made = Split(tmp_path, rabbitmq_server.url, None, copies=2)
    try:
        await made.start()
        yield made
    finally:
        await made.close()


async def test_a_rolling_upgrade_loses_and_doubles_nothing(
    relay: Split, next_version: Mapping[str, str]
) -> None:
    """First the schema, then the programs in any order; and back again, as far as programs go."""
    async with flowing(relay, MESSAGES, rate=RATE, doors=relay.doors) as flow:
        await flow.reached(0.05)
        flow.allow(0.8)  # what is left has to meet both versions, however long that takes
        database = {"POSTHOUSE_DATABASE_URL": relay.database_url}
        migrated = await asyncio.to_thread(posthouse, {**next_version, **database}, "migrate")
        assert "applied 9999 next" in migrated

        for name in ("dispatcher 1", "ingest", "policy"):
            await replace(relay, name, next_version)
        flow.allow(1)
        assert flow.accepted < MESSAGES, "all was sent before both versions ran"
        await replace(relay, "policy", THIS_VERSION)
        for name in ("ingest 2", "policy 2", "bounces", "dispatcher 2"):
            await replace(relay, name, next_version)
        count = await flow.all_through(within=60)

    assert (MESSAGES, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert (0, 0, 0) == (count.doubled, count.uncertain, count.resubmitted), count
    assert (0, 0) == (count.delivered_twice, count.unexplained), count
    (row,) = await command(relay.database_url, "SELECT max(version) AS v FROM schema_migrations")
    assert 9999 == row["v"]
