"""A pool of connections to PostgreSQL, and the statements run over it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import asyncpg
import msgspec

from posthouse.store.failure import StoreUnavailable, connection_failures, store_failures
from posthouse.store.queries import QUERIES

# Nothing the services run takes a second; what takes ten is stuck behind a lock.
STATEMENT_SECONDS = 10
CONNECT_SECONDS = 5
# A pool that cannot hand out a connection in this time is as good as away.
ACQUIRE_SECONDS = 3

_SERVER_SETTINGS = {
    "application_name": "posthouse",
    "jit": "off",
    "statement_timeout": str(STATEMENT_SECONDS * 1000),
    "idle_in_transaction_session_timeout": "30000",
    # The work tables empty and fill within seconds: statistics lag, and a plan made for an empty
    # table must not scan a full one. The statements leave the planner one good way each (see
    # queries.sql); planning a claim over forty days of partitions costs more than the claim.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
}


async def _prepare_connection(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[1:]),
    )


async def _leave_as_it_is(_connection: Any) -> None:
    """Spare the round trip that would reset a session: no statement of ours changes one."""


class Postgres:
    """Runs named statements; every failure is one of `posthouse.store.failure`."""

    def __init__(self, url: str, *, connections: int = 8, background: bool = False) -> None:
        """Open nothing yet. A crash of the server may undo *background* work; it is redone."""
        self._url = url
        self._connections = connections
        self._settings = dict(_SERVER_SETTINGS)
        if background:
            self._settings["synchronous_commit"] = "off"
        self._pool: asyncpg.Pool[Any] | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections for good; statements under way get a few seconds."""
        self._closed = True
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), timeout=5)
        except TimeoutError:
            pool.terminate()

    async def _open(self) -> "asyncpg.Pool[Any]":
        # The pool is made at the first statement and made again until it succeeds, so that a
        # service can start while its database is away. Waiting for one's turn counts.
        with connection_failures(self._url):
            async with asyncio.timeout(CONNECT_SECONDS), self._opening:
                if self._closed:
                    raise StoreUnavailable("the connections were closed")
                self._pool = self._pool or await self._connect()
                return self._pool

    async def _connect(self) -> "asyncpg.Pool[Any]":
        return await asyncpg.create_pool(
            self._url,
            min_size=1,
            max_size=self._connections,
            init=_prepare_connection,
            reset=_leave_as_it_is,
            server_settings=self._settings,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS + 1,
        )

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """Lend one connection; raises StoreUnavailable when there is none within seconds."""
        with store_failures():
            pool = self._pool or await self._open()
            async with pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                yield connection

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        """All rows of the named statement."""
        async with self.connection() as connection:
            rows: list[Any] = await connection.fetch(QUERIES[query], *arguments)
            return rows

    async def first(self, query: str, *arguments: Any) -> Any | None:
        """The first row of the named statement, or None."""
        rows = await self.fetch(query, *arguments)
        return rows[0] if rows else None

    async def run(self, query: str, *arguments: Any) -> None:
        """Run the named statement; returns when it is committed."""
        await self.fetch(query, *arguments)

    async def wait_for_schema(self, version: int, *, seconds: float) -> None:
        """Return once the schema has *version* or newer: services never migrate by themselves."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            try:
                row = await self.first("schema_version")
                found = row["version"] if row else None
                if found is not None and found >= version:
                    return
                reason = f"the schema has version {found}, this program needs {version}"
            except StoreUnavailable as error:
                reason = str(error)
            if asyncio.get_running_loop().time() > deadline:
                raise StoreUnavailable(
                    f"{reason}; run `posthouse migrate` against this database"
                    if "schema" in reason
                    else reason
                )
            await asyncio.sleep(0.2)


def columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Turn *rows* of *width* values into one list a column, as `unnest` wants them."""
    if not rows:
        return [[] for _ in range(width)]
    return [list(column) for column in zip(*rows, strict=True)]
