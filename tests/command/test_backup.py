"""Backups: closed to others, to a file or standard output, with any password and any client."""

import base64
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from onebox.postgres_binaries import find_client
from onebox.postgres_server import EmbeddedPostgres
from posthouse.store.migrate import migrate
from servers.patience import on_this_machine

MAGIC = b"PGDMP"
PASSWORD, IN_URL = "p@ss:word/%", "p%40ss%3Aword%2F%25"


def posthouse(url: str, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    others = {n: v for n, v in os.environ.items() if not n.startswith("POSTHOUSE_")}
    own = {
        "POSTHOUSE_DATABASE_URL": url,
        "POSTHOUSE_SECRET_KEY": base64.b64encode(bytes(range(32))).decode(),
    }
    return subprocess.run(
        [sys.executable, "-c", "from command.cli import main; main()", *arguments],
        env={**others, **own},
        input=stdin,
        capture_output=True,
        timeout=on_this_machine(60),
        check=False,
        umask=0,
    )


def put_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> Path:
    """A `pg_dump` in PATH that says it is of that *version*."""
    program = folder / "pg_dump"
    program.write_text(f"#!/bin/sh\necho '{version}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return program


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[str]:
    """A migrated database that asks for a password which is written in URLs otherwise."""
    folder = tmp_path / "postgres"
    async with EmbeddedPostgres(folder) as running:
        await migrate(running.dsn)
        connection = await asyncpg.connect(running.dsn)
        await connection.execute(f"ALTER ROLE posthouse PASSWORD '{PASSWORD}'")
        (folder / "data/pg_hba.conf").write_text("local all all scram-sha-256\n")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()
        yield running.dsn.replace("posthouse@", f"posthouse:{IN_URL}@", 1)


async def test_a_backup_is_readable_for_its_owner_only(server: str, tmp_path: Path) -> None:
    target = tmp_path / "mail.dump"

    done = posthouse(server, "backup", str(target))

    assert done.returncode == 0, done.stderr
    assert target.read_bytes().startswith(MAGIC)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert not target.with_name("mail.dump.new").exists()


async def test_a_backup_goes_through_a_pipe_and_back(server: str) -> None:
    saved = posthouse(server, "backup", "-")
    assert saved.returncode == 0, saved.stderr
    assert saved.stdout.startswith(MAGIC)

    full = posthouse(server, "restore", "-", stdin=saved.stdout)
    assert full.returncode == 1
    assert b"not empty" in full.stderr

    connection = await asyncpg.connect(server)
    await connection.execute("CREATE DATABASE other")
    await connection.close()
    other = server.replace("/posthouse?", "/other?")
    restored = posthouse(other, "restore", "-", stdin=saved.stdout)
    assert restored.returncode == 0, restored.stderr
    assert b"quarantined" in restored.stdout


def test_a_backup_that_fails_leaves_no_file(tmp_path: Path) -> None:
    target = tmp_path / "mail.dump"

    done = posthouse("postgresql://x@127.0.0.1:1/x", "backup", str(target))

    assert done.returncode == 1
    assert b"pg_dump failed" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    nowhere = tmp_path / "file"
    nowhere.touch()

    done = posthouse("postgresql://x@127.0.0.1:1/x", "backup", str(nowhere / "mail.dump"))

    assert done.returncode == 1
    assert done.stderr.startswith(b"Error: cannot write")


def test_the_newest_client_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client alone suffices, and one that is older than the server would refuse."""
    own = find_client("pg_dump")

    newest = put_on_path(tmp_path, monkeypatch, "pg_dump (PostgreSQL) 99.1")

    assert own != newest
    assert newest == find_client("pg_dump")


def test_of_one_version_the_installed_client_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wheel's was built without TLS."""
    own = subprocess.run([find_client("pg_dump"), "--version"], capture_output=True, check=True)

    installed = put_on_path(tmp_path, monkeypatch, own.stdout.decode().strip())

    assert installed == find_client("pg_dump")
