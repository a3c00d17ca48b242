"""`posthouse account alerts`."""

import click

from command.context import data_option, friendly_errors, with_store
from command.domain_setup import names_of_relay
from command.provisioning import account_id
from posthouse.mail.address import Address
from posthouse.store.account_settings import AccountSettings, AccountSettingsStore
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres


@click.command
@click.argument("name")
@click.option("--on/--off", "on", default=None, help="Whether alerts are sent.")
@click.option("--address", metavar="ADDRESS", help='Gets them; "" for none.')
@data_option
def alerts(name: str, *, on: bool | None, address: str | None) -> None:
    """Change who hears of alerts of the account NAME, and show it.

    An alert says, for example, that mail came from a sender that is not authorised. Without an
    address nobody gets any.
    """
    with friendly_errors():
        mailbox = Address.parse(address) if address else None

    async def work(database: Postgres) -> AccountSettings:
        owner = await account_id(AccountStore(database), name)
        store = AccountSettingsStore(database)
        if address is not None:
            await _refuse_own_host(database, mailbox, name)
            ours = await store.set_alert_address(owner, mailbox)
            if ours is not None:
                raise click.ClickException(_refusal(address, ours, name))
        if on is not None:
            await store.set_alerts(owner, on=on)
        return await store.read(owner)

    found = with_store(work)
    click.echo(f"alerts: {'on' if found.alerts else 'off'}")
    click.echo(f"alert address: {found.alert_address or 'none, so that nobody gets any'}")


async def _refuse_own_host(database: Postgres, address: Address | None, account: str) -> None:
    names = await names_of_relay(database)
    if address is not None and address.ascii_domain in (names.receiving, names.return_path_host):
        raise click.ClickException(_refusal(str(address), address.ascii_domain, account))


def _refusal(address: str, host: str, account: str) -> str:
    return (
        f"{address} cannot be the alert address of {account}: {host} takes returned mail, and "
        "nobody reads there; name an address at another host"
    )
