"""`posthouse account alerts`."""

from collections.abc import Iterator
from datetime import timedelta

import click

from command.context import data_option, friendly_errors, with_store
from command.domain_setup import names_of_relay
from command.provisioning import account_id
from posthouse.mail.address import Address
from posthouse.mail.alert import PACES, AlertKind, AlertPace
from posthouse.store.account_settings import AccountSettings, AccountSettingsStore
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres

_KINDS, _PACES = ([one.value for one in words] for words in (AlertKind, AlertPace))


def _paces(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> dict[AlertKind, AlertPace]:
    found = {}
    for pair in value:
        kind, _, pace = pair.partition("=")
        if kind not in _KINDS or pace not in _PACES:
            raise click.BadParameter(
                f"{pair!r} is not KIND=PACE, where KIND is one of {', '.join(_KINDS)}, "
                f"and PACE one of {', '.join(_PACES)}",
                ctx,
                param,
            )
        found[AlertKind(kind)] = AlertPace(pace)
    return found


@click.command
@click.argument("name")
@click.option("--on/--off", "on", default=None, help="Whether alerts are sent.")
@click.option("--address", metavar="ADDRESS", help='Gets them; "" for none.')
@click.option(
    "--tell",
    "paces",
    multiple=True,
    metavar="KIND=PACE",
    callback=_paces,
    help=f"How often: KIND is {', '.join(_KINDS)}; PACE is {', '.join(_PACES)}.",
)
@click.option(
    "--late-after",
    type=click.IntRange(1, 7 * 24 * 60),
    metavar="MINUTES",
    help="A delivery that long after acceptance is late.",
)
@data_option
def alerts(
    name: str,
    *,
    on: bool | None,
    address: str | None,
    paces: dict[AlertKind, AlertPace],
    late_after: int | None,
) -> None:
    """Change who hears of alerts of the account NAME, and how often, and show it.

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
        if paces or late_after is not None:
            late = None if late_after is None else timedelta(minutes=late_after)
            await store.set_alert_paces(owner, paces, late)
        return await store.read(owner)

    for line in _shown(with_store(work)):
        click.echo(line)


def _shown(found: AccountSettings) -> Iterator[str]:
    yield f"alerts: {'on' if found.alerts else 'off'}"
    yield f"alert address: {found.alert_address or 'none, so that nobody gets any'}"
    for kind, pace in PACES.items():
        late = f", after {found.late_after}" if kind is AlertKind.DELIVERED_LATE else ""
        yield f"{kind.value}: {found.alert_paces.get(kind.value, pace.value)}{late}"


async def _refuse_own_host(database: Postgres, address: Address | None, account: str) -> None:
    names = await names_of_relay(database)
    if address is not None and address.ascii_domain in (names.receiving, names.return_path_host):
        raise click.ClickException(_refusal(str(address), address.ascii_domain, account))


def _refusal(address: str, host: str, account: str) -> str:
    return (
        f"{address} cannot be the alert address of {account}: {host} takes returned mail, and "
        "nobody reads there; name an address at another host"
    )
