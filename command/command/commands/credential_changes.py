"""`posthouse credential set`, `reset`, `expire`, `enable`, `disable` and `delete`."""

from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

import click

from command.account_profiles import check_bounce_address, check_profile
from command.context import LANE, actor, data_option, with_secret_key, with_store
from command.credential_provisioning import (
    NewCredential,
    NoCredential,
    shared_username,
)
from command.secret_making import NewSecret, given_secret, new_secret
from posthouse.mail.lane import Lane
from posthouse.mail.permission import Permission
from posthouse.mail.terms import Resubmission
from posthouse.store.accounts import AccountStore
from posthouse.store.credentials import CredentialChange, CredentialStore
from posthouse.store.postgres import Postgres

_MOST_OCTETS = 4_096  # that are read of a file


def _read_secret(ctx: click.Context, param: click.Parameter, file: BinaryIO | None) -> str | None:
    if file is None:
        return None
    try:
        text = file.read(_MOST_OCTETS).decode()
    except UnicodeDecodeError as error:
        raise click.BadParameter("it is not UTF-8", ctx, param) from error
    return text.removesuffix("\n").removesuffix("\r")


SECRET_FILE = click.option(
    "--secret-file",
    "secret",
    type=click.File("rb"),
    callback=_read_secret,
    metavar="FILE",
    help="Holds the secret that the user brings along, on one line; - reads it from standard "
    "input. Without it a secret of 256 random bits is made.",
)

PERMISSIONS = click.option(
    "--permission",
    "permissions",
    type=click.Choice([each.value for each in Permission]),
    multiple=True,
    help="What it may be used for: smtp to log in, http as a key of the API that takes mail, the "
    "others as a key of the console's API. Repeatable. "
    "Without it a new user has smtp.",
)
RESUBMISSION = click.option(
    "--resubmission",
    type=click.Choice([mode.value for mode in Resubmission]),
    help="Whether a message that comes again, the same octet for octet, is accepted only once. "
    "A new user has off.",
)


def made_secret(given: str | None, key: bytes, *, sealed: bool) -> NewSecret:
    """The secret that was *given*, or a new one; raises UnusableSecret."""
    return (
        new_secret(key, sealed=sealed) if given is None else given_secret(given, key, sealed=sealed)
    )


@click.command
@click.argument("username")
@data_option
def disable(username: str) -> None:
    """Refuse USERNAME from now on (within half a minute where it is logged in)."""
    _switch(username, active=False)


@click.command
@click.argument("username")
@data_option
def enable(username: str) -> None:
    """Allow USERNAME to log in again."""
    _switch(username, active=True)


def _switch(username: str, *, active: bool) -> None:
    async def work(database: Postgres) -> bool:
        return await CredentialStore(database).set_active(username, active=active, actor=actor())

    _or_unknown(username, found=with_store(work))
    click.echo(f"{username} is {'active' if active else 'disabled'}")


@click.command
@click.argument("username")
@SECRET_FILE
@click.option(
    "--keep-previous",
    type=click.FloatRange(min=0, max=720),
    default=0,
    show_default=True,
    metavar="HOURS",
    help="How long the old secret goes on to count (PLAIN, LOGIN and HTTP).",
)
@click.option(
    "--sealed",
    is_flag=True,
    help="Keep the secret sealed, so that CRAM-MD5 and signatures of AWS work.",
)
@data_option
def reset(username: str, secret: str | None, *, keep_previous: float, sealed: bool) -> None:
    """Make a new secret for USERNAME, which is shown only now; the old one is of no use.

    Within half a minute, where USERNAME is logged in with the old one. It may be done any number of
    times.
    """
    kept = timedelta(hours=keep_previous)

    async def work(database: Postgres, key: bytes) -> NewCredential:
        return await _reset(database, username, made_secret(secret, key, sealed=sealed), kept)

    click.echo(with_secret_key(work).lines())


async def _reset(
    database: Postgres, username: str, secret: NewSecret, keep_previous: timedelta
) -> NewCredential:
    # First what may fail: a secret that was changed has to be shown.
    accounts = AccountStore(database)
    found = await _credential(accounts, username)
    profile = await check_profile(accounts, found["account_id"], found["profile"])
    if not await accounts.credentials.set_secret(
        username, secret.stored, keep_previous=keep_previous, actor=actor()
    ):
        raise NoCredential(f"no credential is called {username!r}")
    return NewCredential(username, secret, shared_username(profile))


@click.command
@click.argument("username")
@click.argument("when", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), required=False)
@data_option
def expire(username: str, when: datetime | None) -> None:
    """Let USERNAME end at WHEN, in UTC; without it never."""
    at = when.replace(tzinfo=UTC) if when else None

    async def work(database: Postgres) -> bool:
        return await CredentialStore(database).set_expiry(username, at, actor())

    _or_unknown(username, found=with_store(work))
    click.echo(f"{username} ends {f'at {at.isoformat()}' if at else 'never'}")


def _or_unknown(username: str, *, found: bool) -> None:
    if not found:
        raise click.ClickException(f"no credential is called {username!r}")


async def _credential(accounts: AccountStore, username: str) -> Any:
    rows = await accounts.credentials.find(username=username)
    if not rows:
        raise NoCredential(f"no credential is called {username!r}")
    return rows[0]


@click.command("set")
@click.argument("username")
@click.option("--lane", type=LANE, help="For messages without priority.")
@click.option("--highest-lane", type=LANE, help="The highest that messages may ask for.")
@click.option(
    "--profile", metavar="NAME", help="A preset, or a profile of the account; see `create`."
)
@PERMISSIONS
@RESUBMISSION
@click.option("--note", help='A note for the operator; "" removes it.')
@data_option
def set_(
    username: str,
    *,
    lane: Lane | None,
    highest_lane: Lane | None,
    profile: str | None,
    permissions: tuple[str, ...],
    resubmission: str | None,
    note: str | None,
) -> None:
    """Change what USERNAME may do and how its mail is treated; what is not named stays.

    It counts within half a minute where USERNAME is logged in; mail that was accepted before keeps
    the profile it has.
    """
    again = Resubmission(resubmission) if resubmission else None
    change = CredentialChange(lane, highest_lane, note, permissions or None, profile, again)

    default, highest = with_store(lambda database: _changed(database, username, change))
    if default < highest:
        raise click.ClickException(
            f"the lane {default.label} would be above {highest.label}, the highest it may have"
        )
    click.echo(f"{username}: lane {default.label}, highest lane {highest.label}")


async def _changed(
    database: Postgres, username: str, change: CredentialChange
) -> tuple[Lane, Lane]:
    """Its lane and its highest one, as they would be where the change is refused for them."""
    accounts = AccountStore(database)
    found = await _credential(accounts, username)
    if change.profile is not None:
        new = await check_profile(accounts, found["account_id"], change.profile)
        await check_bounce_address(accounts, found["account_id"], new)
    changed = await accounts.credentials.change(username, change, actor())
    if changed is None:  # deleted in between
        raise NoCredential(f"no credential is called {username!r}")
    return changed


@click.command
@click.argument("username")
@data_option
def delete(username: str) -> None:
    """Delete USERNAME and its secret for good; the name may be given again.

    Sessions that are logged in end within half a minute. Mail that it has submitted goes on, and
    history keeps the name. `disable` can be undone, this cannot.
    """

    async def work(database: Postgres) -> bool:
        return await CredentialStore(database).delete(username, actor())

    _or_unknown(username, found=with_store(work))
    click.echo(f"{username} is deleted")
