"""What is found each hour is counted, and kept for those who ask."""

import socket
from collections.abc import AsyncIterator

import pytest_asyncio
from prometheus_client import REGISTRY

from posthouse.doctor.check_result import CheckName, CheckResult
from posthouse.doctor.outward_judges import RouteFacts
from posthouse.domains.findings import FindingState
from posthouse.inspection.inspection import InspectionPlan
from posthouse.inspection.installation_watch import InstallationWatch
from posthouse.store.examinations import ExaminationStore
from servers.stores import Stores, open_stores

SINK = RouteFacts("sink", 2600)


@pytest_asyncio.fixture
async def stores(database: str) -> AsyncIterator[Stores]:
    async with open_stores(database) as opened:
        yield opened


def count(check: str, state: str) -> float | None:
    labels = {"check": check, "state": state}
    return REGISTRY.get_sample_value("posthouse_doctor_results", labels)


async def test_a_look_is_counted_and_kept(stores: Stores, database: str) -> None:
    store = ExaminationStore(stores.database)
    plan = InspectionPlan("vm", database_url=database, routes=(SINK,), asks_world=False)
    await InstallationWatch(store, "up", plan).look()
    assert (0, 1) == (count("hostname", "right"), count("hostname", "wrong"))
    assert 1 == count("routes", "wrong")
    assert 3 == count("vacuum", "right")
    assert None is count("blocklist", "wrong")  # nobody looked

    await InstallationWatch(store, "up", InspectionPlan("a.example.com", asks_world=False)).look()
    assert (1, 0) == (count("hostname", "right"), count("hostname", "wrong"))
    (kept,) = await store.newest()
    assert ("up", socket.gethostname()) == (kept.program, kept.host)
    assert CheckName.HOSTNAME in {one.check for one in kept.results}


async def test_a_database_that_is_away_is_found_and_stops_nothing(stores: Stores) -> None:
    nowhere = "postgresql://posthouse@127.0.0.1:1/x"
    plan = InspectionPlan("vm", database_url=nowhere, asks_world=False)
    await InstallationWatch(ExaminationStore(stores.database), "up", plan).look()
    assert 1 == count("database", "wrong")


async def test_each_place_is_kept_until_it_is_gone_for_a_day(stores: Stores) -> None:
    store = ExaminationStore(stores.database)
    found = CheckResult(CheckName.CLOCK, "this machine", FindingState.RIGHT, "kept by NTP")
    for host in ("a", "b", "gone"):
        await store.record("dispatcher", host, [found])
    newer = [["a check of a newer version", "", "right", "", ""]]
    await stores.sql("UPDATE examinations SET results = results || $1::jsonb", newer)
    await stores.sql(
        "UPDATE examinations SET examined_at = now() - interval '2 days' WHERE host = 'gone'"
    )
    await store.record("dispatcher", "a", [])
    looks = await store.newest()
    assert [("a", ()), ("b", (found,))] == [(one.host, one.results) for one in looks]
