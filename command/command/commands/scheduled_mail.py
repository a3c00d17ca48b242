"""`posthouse queue scheduled` and `cancel`."""

from dataclasses import asdict
from uuid import UUID

import click

from command.commands.message_timeline import message_id
from command.context import actor, data_option, json_option, print_json, with_store
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


@click.command
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@data_option
def cancel(ids: tuple[str, ...]) -> None:
    """Never send the scheduled message ID."""
    wanted = [message_id(text) for text in ids]
    who = actor()

    async def work(database: Postgres) -> list[UUID]:
        schedule = Schedule(database)
        return [one for one in wanted if not await schedule.cancel(one, who)]

    late = with_store(work)
    for one in wanted:
        if one not in late:
            click.echo(f"cancelled {one.hex}")
    if late:
        named = ", ".join(one.hex for one in late)
        raise click.ClickException(f"not scheduled, or on its way already: {named}")


def _shown(recipients: tuple[str, ...]) -> str:
    more = f" and {len(recipients) - 1} more" if len(recipients) > 1 else ""
    return f"{recipients[0]}{more}"
