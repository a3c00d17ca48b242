"""`posthouse init` and `posthouse migrate`."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import click

from command.context import data_option, friendly_errors, installation, run, settings
from onebox.certificate_files import other_names
from onebox.installation import Installation
from posthouse.running.certificate import CannotUseCertificate
from posthouse.store import StoreUnavailable
from posthouse.store.failure import LoginRefused
from posthouse.store.migrate import NEEDED_VERSION, Migration
from posthouse.store.migrate import migrate as apply_migrations
from posthouse.store.postgres import Postgres
from posthouse.store.secret_check import keep_secret_check

T = TypeVar("T")

_PAUSE_SECONDS = 0.5
_WAIT_SECONDS = 60.0


@click.command
@data_option
def init() -> None:
    """Make the parts of an installation that are missing; existing ones stay as they are."""
    where = installation()
    run(_answered(where.refuse_lost_key, _WAIT_SECONDS))
    with friendly_errors():
        made = where.ensure(settings().hostname)
    for path in made:
        click.echo(f"made {path}")
    _warn_of_other_name(where)
    run(_answered(partial(_migrate, where, keep_key=True), _WAIT_SECONDS))
    click.echo(f"the database has schema {NEEDED_VERSION}")
    if where.given_key is None:
        click.echo(
            f"Keep a copy of {where.secret_key_file} elsewhere: without it DKIM keys and "
            "credentials in the database are of no use."
        )


@click.command
@click.option(
    "--wait",
    "seconds",
    type=click.FloatRange(min=0),
    default=_WAIT_SECONDS,
    show_default=True,
    help="Seconds to wait for a database that does not answer yet.",
)
@data_option
def migrate(seconds: float) -> None:
    """Apply the migrations that the configured database lacks; safe to run at any time."""
    done = run(_answered(partial(_migrate, installation()), seconds))
    for migration in done:
        click.echo(f"applied {migration.version:04} {migration.name}")
    click.echo(f"the database has schema {NEEDED_VERSION}")


def _warn_of_other_name(where: Installation) -> None:
    hostname = settings().hostname
    try:
        others = other_names(where.certificate_file, hostname)
    except CannotUseCertificate as error:
        click.echo(str(error), err=True)
        return
    if others:
        click.echo(
            f"{where.certificate_file} is for {others}, and not for {hostname}: `posthouse "
            "certificate make` makes another, `certificate take` uses one that you have",
            err=True,
        )


async def _migrate(where: Installation, *, keep_key: bool = False) -> list[Migration]:
    async with where.open_database() as (url, _):
        done = await apply_migrations(url)
        if keep_key:
            async with Postgres(url, connections=1) as database:
                await keep_secret_check(database, where.secret_key)
        return done


async def _answered(work: Callable[[], Awaitable[T]], seconds: float) -> T:
    """The result of *work*, which is tried for *seconds* while the database does not answer.

    A wrong password does not become right.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return await work()
        except LoginRefused:
            raise
        except StoreUnavailable:
            if time.monotonic() > end:
                raise
        await asyncio.sleep(_PAUSE_SECONDS)
