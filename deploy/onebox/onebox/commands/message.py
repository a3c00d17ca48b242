"""`posthouse message`."""

from dataclasses import asdict
from uuid import UUID

import click

from onebox.commands.invocation import data_option, json_option, print_json, with_store
from onebox.commands.table import print_line
from onebox.story import tell
from posthouse.store.postgres import Postgres
from posthouse.store.timeline import Timeline, TimelineStore


@click.command
@click.argument("id_", metavar="ID")
@json_option
@data_option
def message(id_: str, *, as_json: bool) -> None:
    """Tell the story of the message ID, as named in the reply "250 ... queued as ID"."""
    try:
        wanted = UUID(id_.strip("<>"))
    except ValueError as error:
        raise click.ClickException(f"{id_!r} is not the id of a message: 32 hex digits") from error

    async def work(database: Postgres) -> Timeline | None:
        return await TimelineStore(database).of_submission(wanted)

    found = with_store(work)
    if found is None:
        raise click.ClickException(
            f"there is no message {wanted.hex}, or it is older than messages are kept"
        )
    if as_json:
        print_json(asdict(found))
        return
    for line in tell(found):
        print_line(line)
