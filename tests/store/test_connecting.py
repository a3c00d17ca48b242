"""A database of several hosts is reached while one of them says nothing."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
import pytest_asyncio

from posthouse.store.connecting import connect
from servers.patience import until

NOBODY = "127.0.0.1:1"
WRITABLE = "target_session_attrs=read-write"


@pytest_asyncio.fixture
async def address(database: str) -> AsyncIterator[str]:
    """Host and port of the server of *database*."""
    parts = urlsplit(database)
    folder = parse_qs(parts.query).get("host")
    if folder is None:
        yield f"{parts.hostname}:{parts.port or 5432}"
        return

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(f"{folder[0]}/.s.PGSQL.5432")
        await asyncio.gather(copy(reader, back), copy(there, writer), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


def url_of(database: str, *hosts: str) -> str:
    """*database* at *hosts*."""
    parts = urlsplit(database)
    user = parts.netloc.rpartition("@")[0]
    return f"postgresql://{user}@{','.join(hosts)}{parts.path}?{WRITABLE}"


async def test_a_host_that_says_nothing_is_passed_over(database: str, address: str) -> None:
    """And what was begun with it is ended."""
    came: list[asyncio.Task[None] | None] = []
    left: list[bool] = []

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(asyncio.current_task())
        await reader.read()
        writer.close()
        left.append(True)

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    connection = await connect(url_of(database, f"127.0.0.1:{port}", address), timeout=100)
    assert 1 == await connection.fetchval("SELECT 1")
    await connection.close()
    await until(lambda: len(left) == len(came) == 1)
    silent.close()


async def test_a_host_that_is_gone_and_a_standby_are_passed_over(
    database: str, address: str
) -> None:
    connection = await connect(url_of(database, NOBODY, address), timeout=100)
    await connection.execute(
        f"ALTER DATABASE {urlsplit(database).path[1:]} SET default_transaction_read_only = on"
    )
    await connection.close()
    with pytest.raises(asyncpg.TargetServerAttributeNotMatched):
        await connect(url_of(database, address), timeout=100)
    for hosts in ((address, NOBODY), (NOBODY, address)):
        with pytest.raises(OSError, match="Connect call failed"):
            await connect(url_of(database, *hosts), timeout=100)
