"""`posthouse account`."""

from typing import Any

import click

from command.commands.account_alerts import alerts
from command.commands.confirming import confirm
from command.commands.holding import hold, release
from command.commands.limiting import account_limit
from command.commands.onboard import onboard
from command.commands.sender import sender
from command.commands.statistics import statistics
from command.context import data_option, friendly_errors, json_option, print_json, with_store
from command.provisioning import account_id
from posthouse.mail.address import Address
from posthouse.store import StoreRefused
from posthouse.store.account_settings import AccountSettings, AccountSettingsStore
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres


@click.group
def account() -> None:
    """Customers of this relay: each has its own credentials, domains and suppression list."""


account.add_command(alerts)
account.add_command(hold)
account.add_command(account_limit)
account.add_command(onboard)
account.add_command(release)
account.add_command(confirm)
account.add_command(sender)
account.add_command(statistics)


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


@account.command("set")
@click.argument("name")
@click.option(
    "--dsn/--no-dsn",
    default=None,
    help="Whether senders get a report (DSN) of mail that could not be delivered.",
)
@click.option(
    "--bounce-address",
    metavar="ADDRESS",
    help='Gets returned and undeliverable mail; "" for none. Not in a sending domain.',
)
@click.option(
    "--automatic-hold/--no-automatic-hold",
    default=None,
    help="Whether thresholds of bounces and complaints hold it.",
)
@data_option
def set_(
    name: str, *, dsn: bool | None, bounce_address: str | None, automatic_hold: bool | None
) -> None:
    """Change settings of the account NAME, and show all of them."""
    with friendly_errors():
        address = Address.parse(bounce_address) if bounce_address else None

    async def work(database: Postgres) -> AccountSettings:
        owner = await account_id(AccountStore(database), name)
        store = AccountSettingsStore(database)
        if bounce_address is not None:
            forbidden = await store.set_bounce_address(owner, address)
            if forbidden is not None:
                raise click.ClickException(_refusal(bounce_address, forbidden, name))
        if dsn is not None:
            await store.set_dsn(owner, dsn=dsn)
        if automatic_hold is not None:
            await store.set_automatic_hold(owner, on=automatic_hold)
        return await store.read(owner)

    found = with_store(work)
    click.echo(f"reports to senders (DSN): {'on' if found.dsn else 'off'}")
    click.echo(f"bounce address: {found.bounce_address or 'none'}")
    click.echo(f"held when a threshold is exceeded: {'yes' if found.automatic_hold else 'no'}")


def _refusal(address: str, forbidden: str, account: str) -> str:
    return (
        f"{address} cannot be the bounce address of {account}: {forbidden} is one of its sending "
        "domains, or takes returned mail; name an address at another domain"
    )


@account.command("list")
@json_option
@data_option
def list_(*, as_json: bool) -> None:
    """List all accounts, and which are held."""

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
        hold = (
            f", held since {row['held_at']:%Y-%m-%d %H:%M} by {row['held_by']}: {row['held_for']}"
            if row["held_at"]
            else ""
        )
        click.echo(f"{row['name']}  (since {row['created_at']}{parent}){hold}")
