"""What hangs on the wire keeps no other mail waiting: real store, sockets and processes."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from dispatcher import claiming
from dispatcher.isolation import ProcessIsolation
from dispatcher.service import Dispatcher
from dispatcher.settings import DispatcherSettings
from dispatcher.sites import Sites
from dispatcher.wiring import delivery_attempts
from posthouse.mail.lane import Lane
from posthouse.store.deliveries import DeliveryStore
from servers.hanging import greets_late, reads_slowly
from servers.mx import Mx, mx, polite
from servers.patience import eventually, until
from servers.stores import Stores, open_stores

LEASE = 20.0
LARGE = b"0123456789abcd\r\n" * (25 * (1 << 20) // 16)
SUSPECT = "UPDATE due_deliveries SET leased = true, claim = 2, abandoned = 1, due_at = now()"
PARKED = "SELECT count(*) FROM due_deliveries WHERE parked_at = $1"


@asynccontextmanager
async def dispatching(stores: Stores, servers: Mapping[str, Mx]) -> AsyncIterator[None]:
    """A dispatcher as its wiring makes it, with a route to each of *servers*."""
    routes = ",".join(f"{domain}=127.0.0.1:{server.port}" for domain, server in servers.items())
    settings = DispatcherSettings.model_validate(
        {"database_url": stores.url, "broker_url": "amqp://none", "routes": routes}
    )
    sites = Sites(settings.site_limit)
    dispatcher = Dispatcher(
        DeliveryStore(stores.database, stores.database, lease=timedelta(seconds=LEASE)),
        delivery_attempts(settings, sites),
        ProcessIsolation(settings),
        settings.limits,
        sites,
        lease_seconds=LEASE,
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(dispatcher.run(asyncio.Event()))
        try:
            yield
        finally:
            running.cancel()


async def test_an_alert_passes_suspects_large_messages_and_slow_sites(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every lane, small mail to another host goes while all of that is still on the wire."""
    monkeypatch.setattr(claiming, "SUSPECT_SECONDS", 0.0)
    async with (
        open_stores(database) as stores,
        mx(greets_late) as late,
        mx(reads_slowly) as slow,
        mx(reads_slowly) as slower,
        mx(polite) as good,
    ):
        for lane in (Lane.HIGH, Lane.HIGH, Lane.BULK):
            await stores.queue(lane, recipients=("r@late.example",))
        await stores.sql(SUSPECT)
        for number in range(10):
            domain = "slower.example" if number % 5 == 0 else "slow.example"
            await stores.queue(recipients=(f"r{number}@{domain}",), body=LARGE)
        servers = {
            "late.example": late,
            "slow.example": slow,
            "slower.example": slower,
            "good.example": good,
        }

        async def all_hang() -> bool:
            waiting = [
                await stores.value(PARKED, f"127.0.0.1:{server.port} (large)")
                for server in (slow, slower)
            ]
            return [7, 1] == waiting and slow.begun == slower.begun == 1 and late.connections == 2

        async with dispatching(stores, servers):
            await eventually(all_hang, within=60)
            for lane in (Lane.BULK, Lane.NORMAL, Lane.VERY_HIGH):
                await stores.queue(lane, recipients=("r@good.example",))
            await until(lambda: len(good.messages) == 3)
            ended = await stores.sql("SELECT DISTINCT outcome FROM attempts")

    assert {"delivered", "uncertain"} == {row["outcome"] for row in ended}
    assert [] == slow.messages + slower.messages + late.messages
