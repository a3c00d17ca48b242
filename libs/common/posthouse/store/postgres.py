"""PostgreSQL: its connections, and the named statements run over them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import asyncpg
import msgspec
import structlog

from posthouse.store.connecting import connect
from posthouse.store.connections import Connections
from posthouse.store.failure import StoreUnavailable, connection_failures, store_failures
from posthouse.store.migrate import NEEDED_VERSION
from posthouse.store.queries import QUERIES

log = structlog.get_logger()

# No statement of a service takes a second; one that takes ten waits for a lock.
STATEMENT_SECONDS = 10
LOCK_SECONDS = 3
CONNECT_SECONDS = 5
# A database whose connections are all busy for this long counts as away.
ACQUIRE_SECONDS = 3
_CLOSE_SECONDS = 5

_SERVER_SETTINGS = {
    "application_name": "posthouse",
    # By this a migration tells programs that it would mislead from others: 0031 does.
    "posthouse.schema": str(NEEDED_VERSION),
    "jit": "off",
    "statement_timeout": str(STATEMENT_SECONDS * 1000),
    # Our own statements hold locks for milliseconds. A longer wait is for another session's lock:
    # the statement fails, and nothing was done, rather than that statements pile up.
    "lock_timeout": str(LOCK_SECONDS * 1000),
    "idle_in_transaction_session_timeout": "30000",
    # The server ends sessions, and their locks, of clients that vanished.
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30000",
    # The work tables empty and fill within seconds: statistics lag, and a plan made for an empty
    # table must not scan a full one. The statements leave the planner one good way each (see
    # queries.sql); planning a claim over forty days of partitions costs more than the claim.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
}


# Sent and not acknowledged; and, when nothing is sent, asked three times whether it is there.
_LOST_AFTER = (
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5000),  # milliseconds
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)


async def _prepare_connection(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[1:]),
    )


def _notice_a_lost_network(connection: Any) -> None:
    """Detect a server that no packet reaches after five seconds, not after minutes."""
    link = connection._transport.get_extra_info("socket")  # noqa: SLF001 -- asyncpg gives no other
    if link is None or link.family == socket.AF_UNIX:
        return
    for level, option, value in _LOST_AFTER:
        link.setsockopt(level, option, value)


async def _refuse_what_was_restored(connection: Any) -> None:
    """Refuse to use a copy until its open mail is quarantined: see `posthouse.store.restored`.

    Asked of each connection, because a server may be restored under programs that wait for it.
    """
    try:
        restored = await connection.fetchval(QUERIES["was_restored"])
    except asyncpg.UndefinedTableError:
        restored = None
    if restored is False:
        return
    await connection.close()
    raise StoreUnavailable(
        "it was restored from a backup: `posthouse migrate` quarantines what was open in it"
        if restored
        else "there is no schema in it"
    )


class Postgres:
    """Runs named statements; every failure is one of `posthouse.store.failure`."""

    def __init__(
        self, url: str, *, connections: int = 8, background: bool = False, pool: str = "service"
    ) -> None:
        """Open nothing yet: a service can start while its database is away.

        A crash of the server may undo *background* work; it is redone. *pool*: for metrics.
        """
        self._url = url
        self._settings = dict(_SERVER_SETTINGS)
        if background:
            self._settings["synchronous_commit"] = "off"
        self._connections = Connections(
            self._connect, connections, pool="background" if background else pool
        )
        self.is_full = False  # it reported that it has no room; until there is some
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections for good."""
        self._closed = True
        await self._connections.close(_CLOSE_SECONDS)

    async def _connect(self) -> Any:
        with connection_failures(self._url):
            if self._closed:
                raise StoreUnavailable("the connections were closed")
            async with asyncio.timeout(CONNECT_SECONDS):
                connection = await connect(
                    self._url,
                    timeout=CONNECT_SECONDS,
                    server_settings=self._settings,
                    command_timeout=STATEMENT_SECONDS + 1,
                )
                _notice_a_lost_network(connection)
                await _prepare_connection(connection)
                await _refuse_what_was_restored(connection)
                return connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """Lend one connection; raises StoreUnavailable when there is none within seconds."""
        with store_failures():
            connection = await self._connections.take(ACQUIRE_SECONDS)
            whole = False
            try:
                yield connection
                whole = True
            finally:
                self._connections.give_back(connection, whole=whole)

    async def fetch(self, query: str, *arguments: Any) -> list[Any]:
        """All rows of the named statement."""
        with store_failures():
            connection = await self._connections.take(ACQUIRE_SECONDS)
            whole = False
            try:
                rows: list[Any] = await connection.fetch(QUERIES[query], *arguments)
                whole = True
            except asyncpg.PostgresError as error:
                # The server has said no, and waits for the next statement. One that was read-only
                # when the connection was made may be so for this connection only.
                whole = not isinstance(error, asyncpg.ReadOnlySQLTransactionError)
                if isinstance(error, asyncpg.DiskFullError):
                    self.is_full = True
                raise
            finally:
                self._connections.give_back(connection, whole=whole)
            return rows

    async def fetch_within(self, seconds: float, query: str, *arguments: Any) -> list[Any]:
        """All rows of the named statement, which may take *seconds* and not the usual ten."""
        async with self.connection() as connection, connection.transaction():
            await connection.execute(f"SET LOCAL statement_timeout = {round(seconds * 1000)}")
            rows: list[Any] = await connection.fetch(
                QUERIES[query], *arguments, timeout=seconds + 1
            )
            return rows

    def alone(self, *, connections: int = 1) -> "Postgres":
        """The same database over up to that many connections of its own."""
        return Postgres(self._url, connections=connections, pool="alone")

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
        told = False
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
            if not told:
                log.warning("waiting_for_database", reason=reason, seconds=seconds)
                told = True
            await asyncio.sleep(0.2)
