"""`posthouse queue`."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

import click

from command.commands.scheduled_mail import cancel, scheduled
from command.context import actor, data_option, json_option, print_json, with_store
from command.provisioning import account_id
from command.table import print_table
from command.timeline_text import duration
from posthouse.mail.moment_text import UnreadableMoment, age_in
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres
from posthouse.store.quarantine import Choice, Quarantine, QuarantineLine
from posthouse.store.timeline import QueueLine, TimelineStore


class AgeType(click.ParamType[timedelta]):
    """A length of time: "30min", "2h" or "5d"."""

    name = "age"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Read it."""
        if isinstance(value, timedelta):
            return value
        try:
            return age_in(str(value))
        except UnreadableMoment as error:
            self.fail(str(error), param, ctx)


AGE = AgeType()


@click.group(invoke_without_command=True)
@json_option
@data_option
@click.pass_context
def queue(ctx: click.Context, /, *, as_json: bool) -> None:
    """Mail that waits, by stage, lane and state, and the age of the oldest.

    Quarantined mail waits for a decision: `quarantined` says why, `release` sends it,
    `discard` does not. Mail that is `scheduled` waits for its time, unless you `cancel` it.
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
queue.add_command(cancel)


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


def _choosing(command: Callable[..., None]) -> Callable[..., None]:
    options = (
        click.option("--account", metavar="NAME", help="Only mail of this account."),
        click.option("--reason", help='Only mail with exactly this reason, such as "restored".'),
        click.option("--older-than", type=AGE, help="Only mail accepted longer ago: 30min, 2h."),
        click.option("--newer-than", type=AGE, help="Only mail accepted since then: 5d."),
        data_option,
    )
    return reduce(lambda decorated, option: option(decorated), reversed(options), command)


@queue.command
@_choosing
def release(**chosen: Any) -> None:
    """Send quarantined mail, all of it or what the options choose."""
    click.echo(f"released {_taken(Quarantine.unquarantine, **chosen)}")


@queue.command
@_choosing
def discard(**chosen: Any) -> None:
    """Never send quarantined mail, all of it or what the options choose."""
    click.echo(f"discarded {_taken(Quarantine.discard, **chosen)}")


def _taken(
    take: Callable[[Quarantine, Choice, str], Awaitable[int]],
    *,
    account: str | None,
    reason: str | None,
    older_than: timedelta | None,
    newer_than: timedelta | None,
) -> int:
    now = datetime.now(UTC)

    async def work(database: Postgres) -> int:
        choice = Choice(
            account_id=await account_id(AccountStore(database), account) if account else None,
            reason=reason,
            after=None if newer_than is None else now - newer_than,
            until=None if older_than is None else now - older_than,
        )
        return await take(Quarantine(database), choice, actor())

    return with_store(work)
