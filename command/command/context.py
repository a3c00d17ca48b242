"""Shared by all commands: the installation they work on, and how they report errors."""

import asyncio
import getpass
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from command.account_profiles import Contradiction, NoBounceAddress
from command.credential_provisioning import NoCredential, UnusableName
from command.key_provisioning import NoKey
from command.provisioning import BounceAddressInside, NameTaken, NoAccount, NoDomain
from command.secret_making import UnusableSecret
from onebox.installation import Installation, NoInstallation
from onebox.installation_settings import InstallationSettings
from onebox.postgres_binaries import PostgresError
from posthouse.domains.setup_records import NoNameservers
from posthouse.domains.spf_record import UnusableSpf
from posthouse.mail.address import InvalidAddress
from posthouse.mail.lane import Lane
from posthouse.profiles import InvalidOverride, UnknownProfile
from posthouse.running import logs
from posthouse.running.common_settings import LogFormat, LogLevel
from posthouse.running.keys import NoFreeSelector
from posthouse.running.settings import SettingsError, load
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.credentials import SecretTaken
from posthouse.store.new_client import BounceAddressForbidden
from posthouse.store.postgres import Postgres
from posthouse.store.secret_check import WrongSecretKey, keep_secret_check
from posthouse.store.webhook_endpoints import NoRoomForWebhook

P = ParamSpec("P")
T = TypeVar("T")


class LaneType(click.ParamType[Lane]):
    """A lane by name or number."""

    name = "lane"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Lane:
        """Read "bulk" or "5"."""
        if isinstance(value, Lane):
            return value
        try:
            return Lane.from_label(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


LANE = LaneType()

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def data_option(command: Callable[P, T]) -> Callable[P, T]:
    """Let a command take --data as well as `posthouse --data DIR COMMAND`."""
    return click.option(
        "--data",
        type=click.Path(file_okay=False),
        expose_value=False,
        callback=_remember_data,
        help="Folder of the onebox.  [env: POSTHOUSE_DATA; ./data]",
    )(command)


def _remember_data(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    del param
    given = value or ctx.find_root().params.get("data")
    if given:
        ctx.meta["installation"] = Path(given)


def settings() -> InstallationSettings:
    """The installation's settings from the environment; a mistake in them ends the command."""
    with friendly_errors():
        return load(InstallationSettings, os.environ, also_known=known_settings)


def known_settings() -> frozenset[str]:
    """Every variable that some program reads."""
    from onebox.all_settings import known_names  # noqa: PLC0415 -- brings every service with it

    return known_names()


def secret_key() -> bytes:
    """The secret key, which credentials and keys are derived from."""
    with friendly_errors():
        return installation().secret_key


def installation() -> Installation:
    """The installation that the command line and the environment name."""
    return Installation.from_settings(
        settings(), click.get_current_context().meta.get("installation")
    )


def actor() -> str:
    """Who runs this command, for the audit."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def with_store(work: Callable[[Postgres], Awaitable[T]]) -> T:
    """The result of *work*, given the installation's database."""
    return run(_open(installation(), work))


def with_secret_key(work: Callable[[Postgres, bytes], Awaitable[T]]) -> T:
    """The same, for work with the secret key: refused if the database was set up with another."""
    key = secret_key()

    async def checked(database: Postgres) -> T:
        await keep_secret_check(database, key)
        return await work(database, key)

    return with_store(checked)


async def _open(where: Installation, work: Callable[[Postgres], Awaitable[T]]) -> T:
    async with where.open_store() as database:
        return await work(database)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine *work*; a known error ends the command with one line."""
    # Nothing but the command's own answer goes to standard output.
    logs.configure("posthouse", level=LogLevel.WARNING, form=LogFormat.CONSOLE, stream=sys.stderr)
    with friendly_errors():
        return asyncio.run(work)


@contextmanager
def friendly_errors() -> Iterator[None]:
    """Turn the known errors of an installation or a name into one line and exit status 1."""
    try:
        yield
    except StoreUnavailable as error:
        raise click.ClickException(f"the database cannot be used: {error}") from error
    except StoreRefused as error:
        raise click.ClickException(f"the database refused this: {error}") from error
    except (NoInstallation, PostgresError, SettingsError, WrongSecretKey) as error:
        raise click.ClickException(str(error)) from error
    except (NoAccount, NoDomain, NoKey, NoFreeSelector, NameTaken, InvalidAddress) as error:
        raise click.ClickException(str(error)) from error
    except (UnusableSpf, UnknownProfile, InvalidOverride, Contradiction, NoBounceAddress) as error:
        raise click.ClickException(str(error)) from error
    except (BounceAddressInside, BounceAddressForbidden, NoNameservers) as error:
        raise click.ClickException(str(error)) from error
    except (NoCredential, UnusableName, UnusableSecret, SecretTaken, NoRoomForWebhook) as error:
        raise click.ClickException(str(error)) from error


def print_json(value: object, *, indent: int | None = 2) -> None:
    """Print *value* for a program to read; times in ISO 8601, ids as text."""
    click.echo(json.dumps(value, default=str, indent=indent))
