"""`posthouse suppression`."""

from typing import Any
from uuid import UUID

import click

from command.context import data_option, friendly_errors, json_option, print_json, with_store
from command.provisioning import account_id
from command.table import print_table
from posthouse.mail.address import Address
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres
from posthouse.store.suppressions import SuppressionStore

account_option = click.option("--account", default="default", show_default=True, metavar="NAME")


@click.group
def suppression() -> None:
    """Addresses that an account does not mail, each with the reason."""


@suppression.command
@click.argument("address")
@click.option("--reason", default="added by hand", show_default=True)
@account_option
@data_option
def add(address: str, account: str, reason: str) -> None:
    """Never mail ADDRESS again."""
    mailbox = _mailbox(address)

    async def work(database: Postgres) -> bool:
        owner = await _owner(database, account)
        return await SuppressionStore(database).add(owner, mailbox, reason, {"by": "operator"})

    new = with_store(work)
    click.echo(f"{mailbox} is {'now' if new else 'already'} suppressed for {account}")


@suppression.command
@click.argument("address")
@account_option
@data_option
def remove(address: str, account: str) -> None:
    """Mail ADDRESS again."""
    mailbox = _mailbox(address)

    async def work(database: Postgres) -> bool:
        owner = await _owner(database, account)
        return await SuppressionStore(database).remove(owner, mailbox)

    if not with_store(work):
        raise click.ClickException(f"{mailbox} is not suppressed for {account}")
    click.echo(f"{mailbox} is no longer suppressed for {account}")


@suppression.command("list")
@click.option("--account", metavar="NAME", help="Only entries of this account.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@json_option
@data_option
def list_(account: str | None, limit: int, *, as_json: bool) -> None:
    """List the newest entries."""

    async def work(database: Postgres) -> list[dict[str, Any]]:
        owner = await _owner(database, account) if account else None
        return [dict(e) for e in await SuppressionStore(database).entries(owner, limit=limit)]

    entries = with_store(work)
    if as_json:
        print_json(entries)
        return
    print_table(
        ("account", "address", "reason", "since"),
        [
            (e["account"], e["address"], e["reason"], f"{e['created_at']:%Y-%m-%d %H:%M}")
            for e in entries
        ],
        empty="nothing is suppressed",
    )


def _mailbox(text: str) -> str:
    with friendly_errors():
        return str(Address.parse(text))


async def _owner(database: Postgres, name: str) -> UUID:
    return await account_id(AccountStore(database), name)
