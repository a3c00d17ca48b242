"""`posthouse backup` and `posthouse restore`."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click

from command.context import data_option, installation, run
from onebox.installation import Installation, NoInstallation
from onebox.postgres_binaries import PostgresError, find_client
from posthouse.store.connecting import connect
from posthouse.store.failure import connection_failures
from posthouse.store.migrate import migrate
from posthouse.store.postgres import Postgres
from posthouse.store.secret_check import check_secret_key

_TO_FILE = click.Path(dir_okay=False, allow_dash=True, path_type=Path)
_FROM_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
_STANDARD = Path("-")


@click.command
@click.argument("file", type=_TO_FILE)
@data_option
def backup(file: Path) -> None:
    """Save the database, as it is at this moment, into FILE; mail goes on meanwhile.

    Only its owner can read FILE; - is standard output. The secret key is not in it: keep one
    copy of that elsewhere.
    """
    if file == _STANDARD:
        if sys.stdout.isatty():
            raise click.ClickException("a backup is not text: redirect it into a file")
        run(_dump(installation(), sys.stdout.fileno()))
        return
    run(_save(installation(), file))
    click.echo(f"saved {file}, {file.stat().st_size >> 10} KiB")


@click.command
@click.argument("file", type=_FROM_FILE)
@data_option
def restore(file: Path) -> None:
    """Fill an empty database from FILE, which `posthouse backup` made; - is standard input.

    Mail that was open when it was saved may have been sent since: it is quarantined, until
    `posthouse queue release --all` sends it.
    """
    run(_put_back(installation(), file))
    click.echo("restored; its open mail is quarantined: see `posthouse queue quarantined`")


async def _save(where: Installation, file: Path) -> None:
    unfinished = file.with_name(f"{file.name}.new")
    try:
        unfinished.unlink(missing_ok=True)
        # Closed to others before its first octet: all mail is in it.
        to = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise click.ClickException(f"cannot write {unfinished}: {error.strerror}") from error
    try:
        await _dump(where, to)
        os.fsync(to)
        unfinished.replace(file)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    finally:
        os.close(to)


async def _dump(where: Installation, to: int) -> None:
    async with where.open_database() as (url, _):
        await _call("pg_dump", url, "--format=custom", output=to)


async def _put_back(where: Installation, file: Path) -> None:
    if where.given_key is None and not where.secret_key_file.exists():
        raise NoInstallation(f"put {where.secret_key_file} back first: nothing works without it")
    source = () if file == _STANDARD else (str(file),)
    async with _server(where) as (url, folder):
        await _must_be_empty(url)
        await _call("pg_restore", url, "--single-transaction", "--no-owner", *source)
        await migrate(url, folder=folder)
        async with Postgres(url, connections=1) as database:
            await check_secret_key(database, where.secret_key)


@asynccontextmanager
async def _server(where: Installation) -> AsyncIterator[tuple[str, str | None]]:
    """The database to fill, closed to all other programs, and the identity of its folder."""
    if where.database_url is not None:
        yield where.database_url, None
        return
    server = await where.start_server()
    try:
        yield server.dsn, server.folder_identity
    finally:
        await server.stop()


async def _must_be_empty(url: str) -> None:
    with connection_failures(url):
        connection = await connect(url, timeout=10)
        try:
            found = await connection.fetchval("SELECT to_regclass('schema_migrations')::text")
        finally:
            await connection.close()
    if found is not None:
        raise NoInstallation(
            "the database is not empty: restore into a new one, or a new data folder"
        )


async def _call(program: str, url: str, *arguments: str, output: int | None = None) -> None:
    """Run a program of PostgreSQL on the database at *url*; raises PostgresError.

    *output*: the descriptor that it writes to.
    """
    parts = urlsplit(url)
    password = parts.password or ""
    # Other users of this machine can see the arguments of a program.
    shown = parts._replace(netloc=parts.netloc.replace(f":{password}@", "@")).geturl()
    process = await asyncio.create_subprocess_exec(
        find_client(program),
        *arguments,
        f"--dbname={shown}",
        env={**os.environ, **({"PGPASSWORD": unquote(password)} if password else {})},
        stdout=output,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode != 0:
        raise PostgresError(f"{program} failed: {said.decode(errors='replace').strip()[-500:]}")
