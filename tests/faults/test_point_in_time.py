"""A server that is recovered to a point in time: mail that was sent since is not sent again."""

import asyncio
import base64
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from onebox.postgres_binaries import find_binaries
from onebox.postgres_data import data_of
from onebox.postgres_server import EmbeddedPostgres
from posthouse.mail.lane import Lane
from posthouse.mail.secret import KEY_OCTETS
from posthouse.store.migrate import migrate
from servers.patience import eventually
from servers.posthouse_command import Run, call
from servers.stores import a_submission, open_stores, prepared

MESSAGES = 20
DELIVERIES = 2 * MESSAGES


def archiving(archive: Path) -> Mapping[str, str]:
    """As docs/operating.md says it is done."""
    command = f"test ! -f {archive}/%f && cp %p {archive}/%f"
    return {"archive_mode": "on", "archive_command": command}


async def accept(database: str) -> None:
    """Have messages prepared, that are then open deliveries."""
    async with open_stores(database) as stores:
        for _ in range(MESSAGES):
            await stores.submissions.accept(a_submission(Lane.NORMAL))
        claimed = (await stores.submissions.claim(MESSAGES)).submissions
        await stores.submissions.prepare([prepared(one) for one in claimed])


async def claimed(database: str) -> int:
    """How many deliveries a dispatcher would send now."""
    async with open_stores(database) as stores:
        return len((await stores.deliveries.claim(10 * MESSAGES)).deliveries)


def base_backup(folder: Path, copy: Path) -> None:
    """A copy of the files of the server that runs in *folder*."""
    program = find_binaries(None, major=None).folder / "pg_basebackup"
    socket = (folder / "socket").resolve()
    connection = ("-h", str(socket), "-U", "posthouse")
    subprocess.run([program, *connection, "-D", copy, "--checkpoint=fast"], check=True, timeout=300)


async def posthouse(database: str, *arguments: str) -> Run:
    """The command on *database*."""
    environ = {
        "POSTHOUSE_DATABASE_URL": database,
        "POSTHOUSE_SECRET_KEY": base64.b64encode(bytes(KEY_OCTETS)).decode(),
        "POSTHOUSE_HOSTNAME": "relay.example.com",
    }
    done = await asyncio.to_thread(call, *arguments, **environ)
    assert "Traceback" not in done.stderr
    return done


async def restored(database: str, *options: str) -> list[str]:
    """Subjects of what the doctor finds about backups."""
    done = await posthouse(database, "doctor", "--local", "--json", *options)
    found: list[dict[str, str]] = json.loads(done.stdout)
    wrong = [one for one in found if (one["check"], one["state"]) == ("restored", "wrong")]
    return [one["subject"] for one in wrong]


async def archived(database: Any, point: str) -> None:
    """Return once all that was written by then is in the archive."""
    await database.execute("SELECT pg_switch_wal()")

    async def done() -> bool:
        question = "SELECT last_archived_time > $1::text::timestamptz FROM pg_stat_archiver"
        return bool(await database.fetchval(question, point))

    await eventually(done)


async def promoted(database: str) -> None:
    """Return once the server has recovered, and takes writes."""
    server = await asyncpg.connect(database)

    async def done() -> bool:
        return bool(await server.fetchval("SELECT NOT pg_is_in_recovery()"))

    await eventually(done)
    await server.close()


@pytest.mark.long
async def test_a_recovery_to_a_point_in_time_sends_nothing_twice(tmp_path: Path) -> None:
    """The operator quarantines what was open, and says that the timeline is known."""
    archive, copy, second = tmp_path / "archive", tmp_path / "copy", tmp_path / "second"
    for folder, mode in ((tmp_path, 0o711), (archive, 0o777), (second, 0o711)):
        folder.mkdir(exist_ok=True)
        folder.chmod(mode)  # PostgreSQL runs as another user than root
    async with EmbeddedPostgres(tmp_path / "first", options=archiving(archive)) as first:
        await migrate(first.dsn)
        await asyncio.to_thread(base_backup, tmp_path / "first", copy)
        await accept(first.dsn)
        writer = await asyncpg.connect(first.dsn)
        point = await writer.fetchval("SELECT clock_timestamp()::text")
        assert DELIVERIES == await claimed(first.dsn)  # all of it is sent, then the disk is lost
        await writer.execute("DELETE FROM due_deliveries")
        await archived(writer, point)
        await writer.close()

    await asyncio.to_thread(shutil.copytree, copy, data_of(second), symlinks=True)
    (data_of(second) / "recovery.signal").touch()
    recovery = {
        "restore_command": f"cp {archive}/%f %p",
        "recovery_target_time": point,
        "recovery_target_action": "promote",
    }
    async with EmbeddedPostgres(second, options=recovery) as server:
        url = server.dsn
        await promoted(url)
        assert ["timeline"] == await restored(url)
        await posthouse(url, "queue", "quarantine", "--reason", "restored")
        assert 0 == await claimed(url)
        assert ["backup", "timeline"] == await restored(url)

        await posthouse(url, "queue", "cancel", "--reason", "restored", "--yes")
        assert [] == await restored(url, "--accept-timeline")
        assert [] == await restored(url)
        await accept(url)
        assert DELIVERIES == await claimed(url)  # new mail flows
