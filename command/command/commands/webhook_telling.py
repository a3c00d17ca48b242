"""`posthouse webhook test`, `replay` and `deliveries`."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import click

from command.context import actor, data_option, json_option, print_json, with_store
from command.table import print_table
from command.webhook_choices import ID, MOMENT, endpoint, endpoint_argument, kind_option
from posthouse.running.identity import new_id
from posthouse.store.postgres import Postgres
from posthouse.store.webhook_endpoints import MadeAttempt, ReplayChoice, WebhookStore
from posthouse.webhooks.dialects import DIALECTS
from posthouse.webhooks.sample_event import sample

_LOOK_SECONDS = 0.2


@click.command
@endpoint_argument
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the service.",
)
@data_option
def test(id_: UUID, wait: float) -> None:
    """Send an event that did not happen, once, and print what the endpoint answered.

    The webhooks service sends it as it sends all others, also while the endpoint is paused.
    """
    batch_id = new_id()

    async def work(database: Postgres) -> MadeAttempt | None:
        found = await endpoint(database, id_)
        store = WebhookStore(database)
        told = sample(batch_id, found.account, datetime.now(UTC))
        body = b",".join(DIALECTS[found.terms.dialect].render(told))
        await store.test(id_, batch_id, body)
        end = asyncio.get_running_loop().time() + wait
        while (attempt := await store.attempt_of(id_, batch_id)) is None:
            if asyncio.get_running_loop().time() > end:
                return None
            await asyncio.sleep(_LOOK_SECONDS)
        return attempt

    made = with_store(work)
    if made is None:
        raise click.ClickException(
            f"nothing was sent within {wait:g} seconds: the webhooks service does not run"
        )
    text = f"{_outcome(made)} after {made.milliseconds} ms"
    if made.result != "taken":
        raise click.ClickException(text)
    click.echo(text)


@click.command
@endpoint_argument
@click.option("--since", type=MOMENT, default="30d", show_default=True, metavar="MOMENT")
@click.option("--until", type=MOMENT, metavar="MOMENT", help="[default: now]")
@kind_option
@click.option(
    "--id",
    "ids",
    type=ID,
    multiple=True,
    metavar="ID",
    help="Of an event or a message; repeatable.",
)
@click.option("--dead-letters", is_flag=True, help="Only what was given up; in whole batches.")
@data_option
def replay(
    *,
    id_: UUID,
    since: datetime,
    until: datetime | None,
    kinds: Sequence[str],
    ids: Sequence[UUID],
    dead_letters: bool,
) -> None:
    """Tell an endpoint once more of what happened between --since and --until.

    Events have the same ids as before. They are read from the history; with --dead-letters those
    batches are tried again that were given up after seven days and have such an event.
    """
    choice = ReplayChoice(since, until or datetime.now(UTC), kinds, ids)

    async def work(database: Postgres) -> int | None:
        found = await endpoint(database, id_)
        store = WebhookStore(database)
        if dead_letters:
            return await store.revive(found, choice, actor())
        await store.replay(found, choice, actor())
        return None

    revived = with_store(work)
    click.echo(
        "the webhooks service sends what it finds in the history"
        if revived is None
        else f"{revived} events are tried again"
    )


@click.command
@endpoint_argument
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--before", type=ID, metavar="ID", help="Requests before that one.")
@json_option
@data_option
def deliveries(*, id_: UUID, limit: int, before: UUID | None, as_json: bool) -> None:
    """List the requests that were made to an endpoint, newest first."""

    async def work(database: Postgres) -> list[MadeAttempt]:
        await endpoint(database, id_)
        return await WebhookStore(database).attempts(id_, limit, before)

    made = with_store(work)
    if as_json:
        print_json([_as_json(attempt) for attempt in made])
        return
    print_table(
        ("time", "batch", "try", "result", "events", "ms"),
        [
            (
                *(f"{a.at:%Y-%m-%d %H:%M:%S}", a.batch_id.hex, str(a.number), _outcome(a)),
                *(str(a.events), str(a.milliseconds)),
            )
            for a in made
        ],
        empty="no request was made to this endpoint",
        numbers=2,
    )


def _outcome(made: MadeAttempt) -> str:
    words = made.result.replace("_", " ")
    return words if made.status is None else f"{words}: HTTP {made.status}"


def _as_json(made: MadeAttempt) -> dict[str, Any]:
    return {**asdict(made), "id": made.id.hex, "batch_id": made.batch_id.hex}
