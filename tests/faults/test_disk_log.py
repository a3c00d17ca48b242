"""PostgreSQL's own log on a disk that has little room left."""

import asyncio
from functools import partial
from typing import Any

import asyncpg

from faults.disk import small_disk
from onebox.postgres_server import EmbeddedPostgres
from servers.patience import eventually

TIMES = 50
TABLE = "CREATE TABLE busy (t text); ALTER TABLE busy ALTER t SET STORAGE EXTERNAL"
KEPT = "SELECT pg_current_wal_lsn() - redo_lsn FROM pg_control_checkpoint()"
WRITE = "INSERT INTO busy SELECT repeat(md5(n::text), 120) FROM generate_series(1, 2000) AS n"


async def is_used_again(connection: Any) -> bool:
    """Whether hardly any of the log has to be kept."""
    return bool(await connection.fetchval(KEPT) <= 32 << 20)


async def test_the_log_does_not_fill_a_small_disk() -> None:
    """Twice as much is written as the disk holds, and the server goes on."""
    stopping = asyncio.Event()
    with small_disk(megabytes=160) as disk:
        async with EmbeddedPostgres(disk / "postgres") as server:
            first = server.pid
            running = asyncio.create_task(server.run(stopping))
            connection = await asyncpg.connect(server.dsn)
            await connection.execute(TABLE)
            for _ in range(TIMES):
                await connection.execute(WRITE)
                await connection.execute("TRUNCATE busy")
                await eventually(partial(is_used_again, connection))
            written = await connection.fetchval("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
            await connection.close()
            stopping.set()
            await running
            assert first == server.pid
    assert written > 320 << 20
