"""`posthouse account`."""

from typing import Any

import click

from command.context import data_option, json_option, print_json, with_store
from command.provisioning import account_id
from posthouse.store import StoreRefused
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres


@click.group
def account() -> None:
    """Customers of this relay: each has its own credentials, domains and suppression list."""


@account.command
@click.argument("name")
@click.option("--parent", metavar="NAME", help="An account whose users may send for this one too.")
@data_option
def create(name: str, parent: str | None) -> None:
    """Create the account NAME."""

    async def work(database: Postgres) -> None:
        accounts = AccountStore(database)
        owner = None if parent is None else await account_id(accounts, parent)
        try:
            await accounts.create_account(name, parent=owner)
        except StoreRefused as error:
            raise click.ClickException(f"there is an account called {name!r} already") from error

    with_store(work)
    click.echo(f"created the account {name}")


@account.command("list")
@json_option
@data_option
def list_(*, as_json: bool) -> None:
    """List all accounts."""

    async def work(database: Postgres) -> list[dict[str, Any]]:
        found = await AccountStore(database).accounts()
        return [
            {**row, "created_at": row["created_at"].isoformat(timespec="seconds")} for row in found
        ]

    rows = with_store(work)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        parent = f", child of {row['parent']}" if row["parent"] else ""
        click.echo(f"{row['name']}  (since {row['created_at']}{parent})")
