"""`posthouse queue`."""

from dataclasses import asdict

import click

from command.commands.scheduled_mail import scheduled
from command.commands.waiting_operations import bounce, cancel, hold, release, retry
from command.context import actor, data_option, json_option, print_json, with_store
from command.table import print_table
from command.timeline_text import duration
from posthouse.store.postgres import Postgres
from posthouse.store.quarantine import Quarantine, QuarantineLine
from posthouse.store.timeline import QueueLine, TimelineStore


@click.group(invoke_without_command=True)
@json_option
@data_option
@click.pass_context
def queue(ctx: click.Context, /, *, as_json: bool) -> None:
    """Mail that waits, by stage, lane and state, and the age of the oldest.

    `retry`, `hold`, `release`, `cancel` and `bounce` act on what you choose of it: on single
    messages, or on all of an account, a domain, a tag. They show first what they would change.
    """
    if ctx.invoked_subcommand is not None:
        return

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


queue.add_command(scheduled)


@queue.command
@json_option
@data_option
def quarantined(*, as_json: bool) -> None:
    """Mail that is not processed until you decide, and why."""

    async def work(database: Postgres) -> list[QuarantineLine]:
        return await Quarantine(database).lines()

    lines = with_store(work)
    if as_json:
        print_json([asdict(line) for line in lines])
        return
    print_table(
        ("stage", "account", "reason", "messages", "oldest", "newest"),
        [
            (
                line.stage,
                line.account,
                line.reason,
                str(line.messages),
                f"{line.oldest:%Y-%m-%d %H:%M}",
                f"{line.newest:%Y-%m-%d %H:%M}",
            )
            for line in lines
        ],
        empty="nothing is quarantined",
    )


@queue.command
@click.option("--reason", default="by hand", show_default=True)
@data_option
def quarantine(reason: str) -> None:
    """Quarantine all open mail: none of it is sent until it is released.

    For a server that was put back as a whole, before anything else runs on it. Stop the relay
    first: mail on the wire would be quarantined too, delivered or not.
    """

    async def work(database: Postgres) -> int:
        return await Quarantine(database).add_all(reason, actor())

    click.echo(f"quarantined {with_store(work)}")


for operation in (retry, hold, release, cancel, bounce):
    queue.add_command(operation)
