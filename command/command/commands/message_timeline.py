"""`posthouse message`."""

from dataclasses import asdict
from uuid import UUID

import click

from command.context import data_option, json_option, print_json, with_store
from command.table import print_line
from command.timeline_text import tell
from posthouse.store.postgres import Postgres
from posthouse.store.timeline import Timeline, TimelineStore


@click.command
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@json_option
@data_option
def message(ids: tuple[str, ...], *, as_json: bool) -> None:
    """Print the timeline of the message ID, as named in the reply "250 ... queued as ID".

    As JSON it is a line for each message.
    """
    wanted = [message_id(text) for text in ids]

    async def work(database: Postgres) -> list[Timeline]:
        store = TimelineStore(database)
        return [_known(one, await store.of_submission(one)) for one in wanted]

    for timeline in with_store(work):
        if as_json:
            print_json(asdict(timeline), indent=None)
            continue
        for line in tell(timeline):
            print_line(line)


def message_id(text: str) -> UUID:
    """The id that a reply to a client named. Raises ClickException."""
    try:
        return UUID(text.strip("<>"))
    except ValueError as error:
        raise click.ClickException(f"{text!r} is not the id of a message: 32 hex digits") from error


def _known(wanted: UUID, found: Timeline | None) -> Timeline:
    if found is None:
        raise click.ClickException(
            f"there is no message {wanted.hex}, or it is older than messages are kept"
        )
    return found
