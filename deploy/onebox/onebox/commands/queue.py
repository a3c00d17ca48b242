"""`posthouse queue`."""

from dataclasses import asdict

import click

from onebox.commands.invocation import data_option, json_option, print_json, with_store
from onebox.commands.table import print_table
from onebox.story import duration
from posthouse.store.postgres import Postgres
from posthouse.store.timeline import QueueLine, TimelineStore


@click.command
@json_option
@data_option
def queue(*, as_json: bool) -> None:
    """What waits, by stage, lane and state, and how long the oldest has."""

    async def work(database: Postgres) -> list[QueueLine]:
        return await TimelineStore(database).queue()

    lines = with_store(work)
    if as_json:
        print_json([{**asdict(line), "lane": line.lane.label} for line in lines])
        return
    print_table(
        ("stage", "lane", "state", "messages", "oldest"),
        [
            (
                line.stage,
                line.lane.label,
                line.state,
                str(line.messages),
                duration(line.oldest_seconds),
            )
            for line in lines
        ],
        empty="nothing waits",
        numbers=2,
    )
