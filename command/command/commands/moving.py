"""`posthouse config export` and `import`: everything that was set, from one database to another."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from command.context import actor, data_option, with_secret_key
from posthouse.mail.secret import Purpose, derive
from posthouse.store.audit_log import write_audit
from posthouse.store.configuration import Row, exported, put_back
from posthouse.store.migrate import NEEDED_VERSION
from posthouse.store.postgres import Postgres

_STANDARD = "-"


@click.command("export")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@data_option
def export(file: str) -> None:
    """Write everything that was set into FILE ("-": standard output), for another database.

    Accounts, users, domains and their keys, streams, profiles, limits, webhooks, suppressions,
    targets of links, the audit: not mail, and not its history. Secrets are in it as they are
    stored, and are of no use without the secret key of this installation, which is not in it.
    """

    async def work(database: Postgres, key: bytes) -> int:
        count = 0
        with _written(file) as out:
            _line(out, {"configuration": NEEDED_VERSION, "key": _check(key)})
            async with exported(database) as rows:
                async for table, row in rows:
                    _line(out, {table: row})
                    count += 1
            _line(out, {"rows": count})
        return count

    click.echo(f"{with_secret_key(work)} rows written", err=True)


@click.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@data_option
def import_(file: TextIO) -> None:
    """Put what `export` wrote into a new database that has the same version and secret key."""

    async def work(database: Postgres, key: bytes) -> int:
        count = await put_back(database, _read(file, key))
        async with database.connection() as connection:
            await write_audit(connection, actor(), "config import", None, rows=count)
        return count

    click.echo(f"{with_secret_key(work)} rows read", err=True)


def _read(file: TextIO, key: bytes) -> Iterator[Row]:
    """The rows of the file; a file that is cut off ends in an error, before anything is kept."""
    head = _object(file.readline())
    if head.get("configuration") != NEEDED_VERSION:
        version = head.get("configuration", "none")
        raise click.ClickException(
            f"its schema is {version}, here it is {NEEDED_VERSION}: use the same version for both"
        )
    if head.get("key") != _check(key):
        raise click.ClickException(
            "it was written with another secret key: bring secret.key along, before `init`"
        )
    for count, line in enumerate(file):
        ((table, row),) = _object(line).items()
        if table != "rows":
            yield table, row
        elif row == count:
            return
    raise click.ClickException("the file is not whole: nothing was kept")


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not found:
        raise click.ClickException("the file is not whole, or is none of ours: nothing was kept")
    return found


def _check(key: bytes) -> str:
    return derive(key, Purpose.CHECK).hex()


def _line(out: TextIO, value: object) -> None:
    out.write(json.dumps(value, ensure_ascii=False) + "\n")


@contextmanager
def _written(file: str) -> Iterator[TextIO]:
    """To standard output, or to a file that only its owner can read: whole, or not there."""
    if file == _STANDARD:
        yield sys.stdout
        return
    fresh = Path(f"{file}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        yield out
    fresh.replace(file)
