"""A database that is away, stuck or full: said in time, and over when it is over."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from onebox.postgres_server import EmbeddedPostgres
from posthouse.mail.submission import Submission
from posthouse.store import StoreFull, StoreRefused, StoreUnavailable
from posthouse.store.migrate import migrate
from posthouse.store.postgres import _SERVER_SETTINGS, Postgres
from servers.patience import on_this_machine
from servers.postgres import with_database
from servers.stores import Stores, a_submission, open_stores

# A client that waits for its 250 hears 451 instead before it loses patience.
BOUND_SECONDS = 20.0


async def test_a_server_that_is_not_there_is_said_at_once() -> None:
    async with Postgres("postgresql://posthouse@127.0.0.1:1/posthouse") as nowhere:
        async with asyncio.timeout(on_this_machine(3)):
            with pytest.raises(StoreUnavailable):
                await nowhere.run("round_trip")


async def test_a_server_that_says_nothing_keeps_nobody_waiting_for_long() -> None:
    """Ten callers who want the first connection wait together, not one after the other."""
    silent = await asyncio.start_server(_say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with Postgres(f"postgresql://posthouse@127.0.0.1:{port}/posthouse") as stuck:
        async with asyncio.timeout(on_this_machine(8)):
            asked = (stuck.run("round_trip") for _ in range(10))
            results = await asyncio.gather(*asked, return_exceptions=True)
    silent.close()
    assert {type(result) for result in results} == {StoreUnavailable}


async def _say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def test_after_closing_nothing_is_opened_again(emptied: str) -> None:
    """A result that comes too late is refused, not written by a connection that stays open."""
    async with Postgres(emptied) as database:
        await database.run("round_trip")
    with pytest.raises(StoreUnavailable, match="closed"):
        await database.run("round_trip")


async def test_a_table_that_is_locked_delays_mail_and_then_is_said(
    emptied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statements have a deadline (here a shorter one): what waited is not committed by halves."""
    monkeypatch.setitem(_SERVER_SETTINGS, "statement_timeout", "1500")
    async with open_stores(emptied) as stores:
        await _refuse_while_locked(stores)


async def test_a_reason_quotes_nothing_of_the_row(stores: Stores) -> None:
    """PostgreSQL's DETAIL does: "Failing row contains ..." (review, L12)."""
    with pytest.raises(StoreRefused) as raised:
        await stores.submissions.accept(a_submission(client=None, helo="a secret"))
    assert 'null value in column "client"' in str(raised.value)
    assert "secret" not in str(raised.value)


async def _refuse_while_locked(stores: Stores) -> None:
    await stores.submissions.accept(a_submission())
    admin = await asyncpg.connect(stores.url)
    await admin.execute("BEGIN; LOCK TABLE due_submissions IN ACCESS EXCLUSIVE MODE")
    async with asyncio.timeout(on_this_machine(BOUND_SECONDS)):
        many = (stores.submissions.accept(a_submission()) for _ in range(50))
        results = await asyncio.gather(*many, return_exceptions=True)
    await admin.close()
    assert {type(result) for result in results} == {StoreUnavailable}
    assert await stores.value("SELECT count(*) FROM contents") == 1
    await stores.submissions.accept(a_submission())


async def test_a_server_that_comes_back_is_used_again(tmp_path: Path) -> None:
    """Killed in the middle of the work: what had its answer is there, and it goes on."""
    postgres = EmbeddedPostgres(tmp_path, options={"max_connections": "20"})
    async with postgres:
        await migrate(postgres.dsn)
        async with open_stores(postgres.dsn) as stores:
            kept = [a_submission() for _ in range(20)]
            await asyncio.gather(*(stores.submissions.accept(s) for s in kept))
            os.kill(postgres.pid, 9)
            async with asyncio.timeout(on_this_machine(BOUND_SECONDS)):
                with pytest.raises(StoreUnavailable):
                    await _accept_forever(stores, kept)  # its processes live on for a moment
            while postgres.alive:  # noqa: ASYNC110 -- a process ends in its own time
                await asyncio.sleep(0.01)
            await postgres.stop()
            await postgres.start()
            late = a_submission()
            await stores.submissions.accept(late)
            found = [c.submission for c in (await stores.submissions.claim(100)).submissions]
            assert [*kept, late] == found


async def _accept_forever(stores: Stores, kept: list[Submission]) -> None:
    while True:
        submission = a_submission()
        await stores.submissions.accept(submission)
        kept.append(submission)


@pytest.fixture
def little_room() -> Iterator[Path]:
    """A folder on a file system of 40 MB."""
    if os.geteuid() != 0:
        pytest.skip("a full disk is made by root alone")
    folder = Path("/tmp") / f"posthouse-full-{os.getpid()}"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m,mode=0777", "tmpfs", folder], check=False
    )
    try:
        if mounted.returncode != 0:
            pytest.skip("no small file system can be mounted here")
        yield folder
    finally:
        subprocess.run(["umount", folder], check=False)
        folder.rmdir()


def _owned_alike(place: Path, other: Path) -> Path:
    place.mkdir(mode=0o700)
    os.chown(place, other.stat().st_uid, -1)
    return place


@pytest.fixture
async def small(postgres_server: str, little_room: Path) -> AsyncIterator[str]:
    """URL of a migrated database with little room."""
    admin = await asyncpg.connect(postgres_server)
    place = _owned_alike(little_room / "data", Path(await admin.fetchval("SHOW data_directory")))
    await admin.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
    await admin.execute("CREATE DATABASE posthouse_small TABLESPACE small")
    url = with_database(postgres_server, "posthouse_small")
    await migrate(url)
    yield url
    await admin.execute("DROP DATABASE posthouse_small WITH (FORCE)")
    await admin.execute("DROP TABLESPACE small")
    await admin.close()


def _write_forever(path: Path) -> None:
    with path.open("wb") as file:
        while True:
            file.write(bytes(1 << 16))
            file.flush()


async def test_a_full_disk_is_said_and_loses_nothing(small: str, little_room: Path) -> None:
    """What had its answer before is there afterwards; with room again, mail is taken again."""
    async with open_stores(small) as stores:
        kept = a_submission()
        await stores.submissions.accept(kept)
        filling = little_room / "filling"
        with pytest.raises(OSError, match="No space"):
            _write_forever(filling)
        with pytest.raises(StoreFull):
            await stores.submissions.accept(a_submission(body=bytes(4 << 20)))
        assert stores.database.is_full  # what housekeeping relieves it by
        filling.unlink()
        await stores.submissions.accept(a_submission(body=bytes(1 << 20)))
        claimed = (await stores.submissions.claim(10)).submissions
        assert kept == claimed[0].submission
        assert len(claimed) == 2
