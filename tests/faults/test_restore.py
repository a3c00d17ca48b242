"""A backup taken while mail flows, restored when all of it has been sent: nothing is sent again."""

import asyncio
import base64
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from bench.sink import Sink
from bench.sink_session import Manners

from chaos.flow import flowing
from chaos.knock import knock
from chaos.ledger import Ledger
from chaos.parts import PostgresPart
from chaos.program import POSTHOUSE
from chaos.relay import Onebox
from onebox.postgres_binaries import find_binaries
from posthouse.store import StoreUnavailable
from posthouse.store.postgres import Postgres
from servers.patience import on_this_machine
from servers.posthouse_command import call

MESSAGES = 300
# Some is put off, so that it is still to be sent when the backup is made.
MANNERS = Manners(delay=0.3, soft=0.2)
NEW = MESSAGES + 1


@pytest_asyncio.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Onebox]:
    """A relay in one process."""
    made = Onebox(tmp_path)
    try:
        await made.start()
        yield made
    finally:
        await made.close()


def _run(*command: str | Path, **environ: str) -> str:
    done = subprocess.run(
        command,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=on_this_machine(60),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _posthouse(relay: Onebox, *arguments: str | Path) -> str:
    """What a command about *relay* says."""
    key = base64.b64encode(relay._key).decode()
    data = ("--data", str(relay.folder / "data"))
    done = call(*data, *map(str, arguments), POSTHOUSE_SECRET_KEY=key)
    assert done.returncode == 0, done.stderr
    return done.stdout


def dumped(relay: Onebox, target: Path) -> None:
    """As docs/operating.md says it is done."""
    _posthouse(relay, "backup", target)


def copied(relay: Onebox, target: Path) -> None:
    """A copy of the files of the running server, by PostgreSQL's own means."""
    socket = relay.folder / "data" / "postgres" / "socket"
    program = find_binaries(None, major=None).folder / "pg_basebackup"
    connection = ("-h", str(socket.resolve()), "-U", "posthouse")
    _run(program, *connection, "-D", target, "--checkpoint=fast")


def put_dump_back(relay: Onebox, backup: Path) -> None:
    """Into a folder that has nothing but the key."""
    shutil.rmtree(relay.folder / "data" / "postgres")
    _posthouse(relay, "restore", backup)


def put_copy_back(relay: Onebox, backup: Path) -> None:
    """Files in place of files."""
    data = relay.folder / "data" / "postgres" / "data"
    shutil.rmtree(data)
    shutil.copytree(backup, data, symlinks=True)


@pytest.mark.parametrize(
    ("save", "put_back"),
    [
        pytest.param(dumped, put_dump_back, id="dump"),
        pytest.param(copied, put_copy_back, id="files"),
    ],
)
async def test_what_was_open_in_a_backup_is_not_sent_again(
    relay: Onebox, tmp_path: Path, save: object, put_back: object
) -> None:
    """It is quarantined, new mail flows at once, and what is released is sent."""
    assert callable(save)
    assert callable(put_back)
    backup = tmp_path / "backup"
    async with flowing(relay, MESSAGES, manners=MANNERS, connections=40) as flow:
        await flow.reached(0.6)
        open_then = await Ledger(relay.database_url).open_items()
        await asyncio.to_thread(save, relay, backup)
        count = await flow.all_through(within=60, nudging=True)
    assert (MESSAGES, 0, 0, 0) == (count.accepted, count.refused, count.lost, count.doubled), count
    assert open_then > 20, "the backup was too late to be one of open mail"

    await relay.program.stop()
    await asyncio.to_thread(put_back, relay, backup)
    await relay.program.start()
    async with Sink(port=relay.sink_port) as sink:
        assert (await knock(relay.customer.normal, number=NEW)).startswith("250 ")
        await sink.arrived(1)
        await Ledger(relay.database_url).drained()
        assert [str(NEW)] == [arrival.id for arrival in sink.arrivals]

        quarantined = _posthouse(relay, "queue", "quarantined")
        assert "restored" in quarantined
        released = _posthouse(
            relay, "queue", "release", "--reason", "restored", "--newer-than", "1h", "--yes"
        )
        await sink.arrived(1 + int(released.split()[-1]))
        assert "nothing is quarantined" in _posthouse(relay, "queue", "quarantined")


async def test_nobody_gets_at_a_database_that_was_restored_beneath_running_programs(
    tmp_path: Path,
) -> None:
    """Programs that wait for it can use it only after `posthouse migrate`."""
    server = PostgresPart(tmp_path / "postgres")
    await server.start()
    try:
        migrate = {"POSTHOUSE_DATABASE_URL": server.url}
        await asyncio.to_thread(_run, POSTHOUSE, "migrate", **migrate)
        async with Postgres(server.url) as waiting:
            await waiting.run("round_trip")
            await _saved_and_put_back(tmp_path, server.url)
            with suppress(StoreUnavailable):
                await waiting.run("round_trip")  # over the connection that was cut
            with pytest.raises(StoreUnavailable, match="posthouse migrate"):
                await waiting.run("round_trip")
            await asyncio.to_thread(_run, POSTHOUSE, "migrate", **migrate)
            await waiting.run("round_trip")
    finally:
        await server.stop()


async def _saved_and_put_back(folder: Path, url: str) -> None:
    """Dump, drop, create and restore, with the plain programs of PostgreSQL."""
    programs = find_binaries(None, major=None).folder
    dump, other = folder / "dump", url.replace("@/posthouse?", "@/template1?")
    for command in (
        ("pg_dump", "-Fc", "-f", dump, url),
        ("psql", "-c", "DROP DATABASE posthouse WITH (FORCE)", other),
        ("psql", "-c", "CREATE DATABASE posthouse", other),
        ("pg_restore", "--single-transaction", "-d", url, dump),
    ):
        await asyncio.to_thread(_run, programs / command[0], *command[1:])
