"""Connections are shared without failing at the server's limit, and closed when unused."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from onebox.postgres_server import EmbeddedPostgres
from posthouse.store.connections import Connections
from posthouse.store.failure import TooManyConnections, connection_failures
from servers.patience import eventually

LIMIT = 8
QUESTION = "SELECT pg_sleep(0.02)"


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[str]:
    """URL of a server with few connections."""
    async with EmbeddedPostgres(tmp_path, options={"max_connections": str(LIMIT)}) as running:
        yield running.dsn


def pool(server: str, most: int, unused_seconds: float = 30.0) -> Connections:
    async def connect() -> Any:
        with connection_failures(server):
            return await asyncpg.connect(server)

    return Connections(connect, most, unused_seconds=unused_seconds)


async def use(connections: Connections, seconds: float = 20.0) -> None:
    connection = await connections.take(seconds)
    await connection.fetch(QUESTION)
    connections.give_back(connection, whole=True)


async def test_at_the_limit_of_the_server_users_wait_for_a_connection(server: str) -> None:
    """Two pools that may have more than there is: everybody is served."""
    pools = [pool(server, 20), pool(server, 20)]
    for connections in pools:  # each has one: a burst of the other cannot starve it
        await use(connections)

    await asyncio.gather(*(use(connections) for connections in pools for _ in range(40)))

    for connections in pools:
        await connections.close(5)


async def test_who_gets_no_connection_in_time_hears_why(server: str) -> None:
    others = pool(server, LIMIT)
    taken = [await others.take(5) for _ in range(LIMIT)]
    connections = pool(server, 1)

    with pytest.raises(TooManyConnections):
        await connections.take(0.3)

    for connection in taken:
        others.give_back(connection, whole=True)
    await others.close(5)


async def test_connections_that_nobody_needs_are_closed_but_one(server: str) -> None:
    connections = pool(server, 5, unused_seconds=0.1)
    await asyncio.gather(*(use(connections) for _ in range(5)))

    async def shrunk() -> bool:
        await use(connections)  # one is in use all the time
        return connections._open == 1

    await eventually(shrunk)
    await use(connections)
    await connections.close(5)


async def test_metrics_show_what_connections_do_and_who_waits(server: str) -> None:
    connections = pool(server, 1)

    def shown(state: str) -> float | None:
        labels = {"pool": "service", "state": state}
        return REGISTRY.get_sample_value("posthouse_database_connections", labels)

    before = [shown(state) or 0 for state in ("lent", "free", "waiting")]
    taken = await connections.take(5)
    waiting = asyncio.create_task(use(connections))
    await asyncio.sleep(0)
    assert [shown(state) for state in ("lent", "free", "waiting")] == [
        before[0] + 1,
        before[1],
        before[2] + 1,
    ]
    connections.give_back(taken, whole=True)
    await waiting
    assert [shown(state) for state in ("lent", "free", "waiting")] == [
        before[0],
        before[1] + 1,
        before[2],
    ]
    await connections.close(5)
