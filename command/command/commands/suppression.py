"""`posthouse suppression`."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import reduce, wraps
from typing import Any, TypeVar
from uuid import UUID

import click

from command.commands.recheck import recheck
from command.commands.suppression_files import account_option, export_, import_, list_option
from command.context import actor, data_option, friendly_errors, json_option, print_json, with_store
from command.provisioning import account_id
from command.table import print_table
from posthouse.mail.address import normal_form, parse_address_or_domain
from posthouse.mail.suppression_list import SuppressionList, stream_scope, tag_scope
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres
from posthouse.store.suppressions import SuppressionFilter, SuppressionStore

T = TypeVar("T")


@click.group
def suppression() -> None:
    """Addresses that an account does not mail, each with the reason.

    ADDRESS may be a whole domain, as @dest.example.
    """


suppression.add_command(import_)
suppression.add_command(export_)
suppression.add_command(recheck)


def _scoped(command: Callable[..., T]) -> Callable[..., T]:
    """Let a command take --stream or --tag, as its argument *scope*: None without either."""

    @wraps(command)
    def with_scope(*, stream: str, tag: str, **given: Any) -> T:
        if stream and tag:
            raise click.UsageError("give --stream or --tag: an entry holds for one of them")
        scope = stream_scope(stream) if stream else tag_scope(tag) if tag else None
        return command(scope=scope, **given)

    options = (
        click.option("--stream", default="", metavar="NAME", help="Only mail of this stream."),
        click.option("--tag", default="", metavar="NAME", help="Only mail with this tag."),
        account_option,
        data_option,
    )
    taking: Callable[..., T] = with_scope
    return reduce(lambda decorated, option: option(decorated), reversed(options), taking)


@suppression.command
@click.argument("address")
@click.option("--reason", default="added by hand", show_default=True)
@list_option(default=SuppressionList.MANUAL)
@click.option("--days", type=click.IntRange(min=1), help="Only for so long.")
@_scoped
def add(
    address: str,
    *,
    reason: str,
    on: SuppressionList,
    days: int | None,
    account: str,
    scope: str | None,
) -> None:
    """Never mail ADDRESS again."""
    mailbox = _mailbox(address)
    until = None if days is None else datetime.now(UTC) + timedelta(days=days)

    async def work(database: Postgres) -> bool:
        owner = await _owner(database, account)
        return await SuppressionStore(database).add(
            owner,
            mailbox,
            reason,
            {"by": "operator"},
            on=on,
            scope=scope or "",
            expires_at=until,
            actor=actor(),
        )

    new = with_store(work)
    click.echo(f"{mailbox} is {'now' if new else 'already'} suppressed for {account}")


@suppression.command
@click.argument("address")
@list_option(default=None)
@_scoped
def remove(address: str, on: SuppressionList | None, account: str, scope: str | None) -> None:
    """Mail ADDRESS again: take it off all lists, or off the one that is named."""
    mailbox = _mailbox(address)

    async def work(database: Postgres) -> bool:
        owner = await _owner(database, account)
        return await SuppressionStore(database).remove(
            owner, mailbox, on=on, scope=scope, actor=actor()
        )

    if not with_store(work):
        raise click.ClickException(f"{mailbox} is not suppressed for {account}")
    click.echo(f"{mailbox} is no longer suppressed for {account}")


@suppression.command("list")
@click.argument("text", required=False)
@click.option("--account", metavar="NAME", help="Only entries of this account.")
@list_option(default=None)
@click.option("--reason", help="Only entries with exactly this reason.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@json_option
@data_option
def list_(
    text: str | None,
    account: str | None,
    on: SuppressionList | None,
    reason: str | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """List the newest entries.

    TEXT: those whose address contains it, such as a name, an address or a domain.
    """

    async def work(database: Postgres) -> list[dict[str, Any]]:
        owner = await _owner(database, account) if account else None
        chosen = SuppressionFilter(owner, text and normal_form(text), on, reason=reason)
        found = await SuppressionStore(database).search(chosen, limit=limit)
        return [dict(entry) for entry in found]

    entries = with_store(work)
    if as_json:
        print_json(entries)
        return
    print_table(
        ("account", "address", "list", "scope", "reason", "since", "until"),
        [
            (e["account"], e["address"], list_name(e), e["scope"], e["reason"], *_times(e))
            for e in entries
        ],
        empty="nothing is suppressed",
    )


suppression.add_command(list_, "search")


def list_name(entry: Any) -> str:
    """The list of an entry, as people call it."""
    if entry["list"] != SuppressionList.BOUNCE:
        return str(entry["list"])
    return "hard bounce" if entry["expires_at"] is None else "soft bounce"


def _times(entry: Any) -> tuple[str, str]:
    until = entry["expires_at"]
    return (
        f"{entry['created_at']:%Y-%m-%d %H:%M}",
        "" if until is None else f"{until:%Y-%m-%d %H:%M}",
    )


def _mailbox(text: str) -> str:
    with friendly_errors():
        return parse_address_or_domain(text)


async def _owner(database: Postgres, name: str) -> UUID:
    return await account_id(AccountStore(database), name)
