"""`posthouse stream`."""

import re

import click

from command.commands.stream_frame import frame
from command.commands.suppression_files import account_option
from command.context import actor, data_option, json_option, print_json, with_store
from command.message_flags import as_words, flag_options, said
from command.provisioning import account_id, random_code
from command.stream_names import name_argument
from command.table import print_table
from posthouse.mail.message_flag import Stream
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres
from posthouse.store.streams import (
    MOST_OF_AN_ACCOUNT,
    FlagChanges,
    NotMade,
    StreamStore,
)

_CODE = re.compile(r"[!-~]{1,64}")


def _code(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _CODE.fullmatch(value):
        raise click.BadParameter(
            f"{value!r} is not a code: 1 to 64 printable ASCII characters without spaces",
            ctx,
            param,
        )
    return value


code_option = click.option(
    "--code", callback=_code, metavar="TEXT", help="By which messages name it, in any case."
)


@click.group
def stream() -> None:
    """Lists and mailings of an account: they group settings, statistics and billing."""


stream.add_command(frame)


@stream.command
@name_argument
@code_option
@click.option(
    "--like",
    default="",
    metavar="NAME",
    help="Take what is not said here from that stream, its header and footer too.",
)
@flag_options
@account_option
@data_option
def create(name: str, code: str | None, flags: FlagChanges, account: str, like: str) -> None:
    """Make the stream NAME, and print the code by which messages name it.

    Without --code the code is random, so that nobody can guess it. What is not set for it is
    as the profile says. Clients that are logged in have it within half a minute.
    """
    given = code or random_code()

    async def work(database: Postgres) -> NotMade | None:
        owner = await account_id(AccountStore(database), account)
        return await StreamStore(database).create(owner, name, given, flags, like=like)

    match with_store(work):
        case NotMade.TAKEN:
            raise click.ClickException(
                f"the account {account} has a stream that is called {name!r} or {given!r} already"
            )
        case NotMade.NOTHING_LIKE_IT:
            raise click.ClickException(f"the account {account} has no stream {like!r}")
        case NotMade.TOO_MANY:
            raise click.ClickException(
                f"the account {account} has {MOST_OF_AN_ACCOUNT} streams, which is the most"
            )
    click.echo(f"created the stream {name} of {account}, code {given.lower()}")


@stream.command("set")
@name_argument
@code_option
@flag_options
@account_option
@data_option
def set_(name: str, code: str | None, flags: FlagChanges, account: str) -> None:
    """Change the stream NAME, and show it; `profile` lets a flag be as the profile says."""

    async def work(database: Postgres) -> Stream:
        owner = await account_id(AccountStore(database), account)
        store = StreamStore(database)
        changed = await store.set(owner, name, code, flags)
        if changed is None:
            known = [stream.name for stream in await store.of_account(owner)]
            raise click.ClickException(
                f"the account {account} has another stream that is called {code!r}"
                if name in known
                else _unknown(name, account, known)
            )
        return changed

    changed = with_store(work)
    click.echo(f"{changed.name}, code {changed.code}: {said(changed.flags) or 'as the profile'}")


@stream.command
@name_argument
@account_option
@data_option
def delete(name: str, account: str) -> None:
    """Delete the stream NAME; what was counted for it stays."""

    async def work(database: Postgres) -> None:
        owner = await account_id(AccountStore(database), account)
        store = StreamStore(database)
        if not await store.delete(owner, name, actor()):
            known = [stream.name for stream in await store.of_account(owner)]
            raise click.ClickException(_unknown(name, account, known))

    with_store(work)
    click.echo(f"deleted the stream {name} of {account}")


@stream.command("list")
@account_option
@json_option
@data_option
def list_(*, account: str, as_json: bool) -> None:
    """List the streams of an account."""

    async def work(database: Postgres) -> list[Stream]:
        owner = await account_id(AccountStore(database), account)
        return await StreamStore(database).of_account(owner)

    found = with_store(work)
    if as_json:
        print_json([{"name": s.name, "code": s.code, **as_words(s.flags)} for s in found])
        return
    print_table(
        ("stream", "code", "set"),
        [(s.name, s.code, said(s.flags)) for s in found],
        empty=f"the account {account} has no stream; make one with `posthouse stream create`",
    )


def _unknown(name: str, account: str, known: list[str]) -> str:
    return (
        f"the account {account} has no stream {name!r}; there is: "
        f"{', '.join(map(repr, known)) or 'none yet'}"
    )
