"""`posthouse domain records`."""

from typing import Any

import click

from command.context import data_option, friendly_errors, with_store
from command.provisioning import domain_name, domain_rows
from command.record_display import Shown, account_option, asked, show, show_options
from posthouse.profiles.choices import Onboarding
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres


@click.command
@click.argument("name")
@account_option
@click.option(
    "--zone",
    "zone_only",
    is_flag=True,
    help="Print only what your own name servers need, as a file for them.",
)
@show_options
@data_option
def records(name: str, account: str, *, zone_only: bool, **options: Any) -> None:
    """Print the records to publish for the domain NAME."""
    with friendly_errors():
        name = domain_name(name)

    async def work(database: Postgres) -> Shown:
        rows = await domain_rows(AccountStore(database), account, name)
        delegated = rows[0]["onboarding"] == Onboarding.DELEGATION
        how = await asked(database, name, delegated=delegated or zone_only, **options)
        return await how.of(database, account)

    shown = with_store(work)
    if not zone_only:
        show(shown)
        return
    if not shown.zone:
        raise click.ClickException(f"{name} has no records in zones of yours: it has its own keys")
    click.echo(shown.zone)
