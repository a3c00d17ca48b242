"""`posthouse queue scheduled`."""

from dataclasses import asdict

import click

from command.context import data_option, json_option, print_json, with_store
from command.provisioning import account_id
from command.table import print_table
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres
from posthouse.store.schedule import Schedule, ScheduledMessage


@click.command
@click.option("--account", metavar="NAME", help="Only mail of this account.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@json_option
@data_option
def scheduled(account: str | None, limit: int, *, as_json: bool) -> None:
    """Mail that is to be sent later, at the time that its sender chose; the first comes first."""

    async def work(database: Postgres) -> list[ScheduledMessage]:
        owner = await account_id(AccountStore(database), account) if account else None
        return await Schedule(database).first(limit, owner)

    found = with_store(work)
    if as_json:
        print_json([{**asdict(one), "id": one.id.hex, "lane": one.lane.label} for one in found])
        return
    print_table(
        ("message", "account", "lane", "to be sent", "from", "to"),
        [
            (
                one.id.hex,
                one.account,
                one.lane.label,
                f"{one.send_at:%Y-%m-%d %H:%M:%S}",
                one.sender,
                _shown(one.recipients),
            )
            for one in found
        ],
        empty="nothing is scheduled",
    )


def _shown(recipients: tuple[str, ...]) -> str:
    more = f" and {len(recipients) - 1} more" if len(recipients) > 1 else ""
    return f"{recipients[0]}{more}"
