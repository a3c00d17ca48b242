"""`posthouse account`."""

import click

from command.context import data_option, json_option, print_json, with_store
from posthouse.store import StoreRefused
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres


@click.group
def account() -> None:
    """Customers of this relay: each has its own credentials, domains and suppression list."""


@account.command
@click.argument("name")
@data_option
def create(name: str) -> None:
    """Create the account NAME."""

    async def work(database: Postgres) -> None:
        try:
            await AccountStore(database).create_account(name)
        except StoreRefused as error:
            raise click.ClickException(f"there is an account called {name!r} already") from error

    with_store(work)
    click.echo(f"created the account {name}")


@account.command("list")
@json_option
@data_option
def list_(*, as_json: bool) -> None:
    """List all accounts."""

    async def work(database: Postgres) -> list[tuple[str, str]]:
        found = await AccountStore(database).accounts()
        return [(name, created.isoformat(timespec="seconds")) for name, created in found]

    rows = with_store(work)
    if as_json:
        print_json([{"name": name, "created_at": created} for name, created in rows])
        return
    for name, created in rows:
        click.echo(f"{name}  (since {created})")
