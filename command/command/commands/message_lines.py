"""`posthouse report message` and `posthouse report messages`."""

from collections.abc import Sequence

import click

from command.commands.find import query_of, query_options, whole_page
from command.commands.message_timeline import message_id
from command.context import data_option, json_option, print_json, with_store
from command.table import print_table
from posthouse.mail.reply import escaped
from posthouse.store.message_reports import MessageReports, Reads, ReportedRecipient
from posthouse.store.message_search import MessageSearch
from posthouse.store.postgres import Postgres
from posthouse.traffic.csv_text import csv_text

_COLUMNS = ("message", "accepted", "account", "user", "recipient", "subject", "tags", "state")
_SHOWN = 40  # characters of a subject

csv_option = click.option("--csv", "as_csv", is_flag=True, help="Print CSV, for spreadsheets.")


@click.command
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@csv_option
@json_option
@data_option
def message(ids: tuple[str, ...], *, as_csv: bool, as_json: bool) -> None:
    """The recipients of messages, by the id in "250 ... queued as ID".

    Each with its tags, state, opens and clicks.
    """
    wanted = [message_id(text) for text in ids]

    async def work(database: Postgres) -> list[ReportedRecipient]:
        found = await MessageSearch(database).named(wanted)
        if missing := set(wanted) - {one.id for one in found}:
            raise click.ClickException(
                f"there is no message {min(missing).hex}, or it is older than messages are kept"
            )
        return await MessageReports(database).of(found)

    _print(with_store(work), as_csv=as_csv, as_json=as_json)


@click.command
@query_options
@click.option("--limit", type=click.IntRange(1, 100_000), default=1_000, show_default=True)
@csv_option
@json_option
@data_option
def messages(limit: int, *, as_csv: bool, as_json: bool, **words: str | None) -> None:
    """The recipients of all messages that `posthouse find` finds, newest first.

    Each with its tags, state, opens and clicks, as long as the history is kept.
    """
    query, _ = query_of(words, None)

    async def work(database: Postgres) -> list[ReportedRecipient]:
        page = await whole_page(MessageSearch(database), query, limit, None)
        return await MessageReports(database).of(page.messages)

    _print(with_store(work), as_csv=as_csv, as_json=as_json)


def _print(lines: Sequence[ReportedRecipient], *, as_csv: bool, as_json: bool) -> None:
    rows = [(*_about(line), *line.reads) for line in lines]
    names = (*_COLUMNS, *Reads._fields)
    if as_json:
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    elif as_csv:
        click.echo(csv_text(names, rows), nl=False)
    else:
        print_table(
            (*_COLUMNS, "opened", "clicked"),
            [(*map(escaped, _about(line, most=_SHOWN)), *_read(line.reads)) for line in lines],
            empty="no message was found",
            numbers=2,
        )


def _about(line: ReportedRecipient, most: int | None = None) -> tuple[str, ...]:
    """The words of *line*, with so many characters of what clients choose at length."""
    about = line.message
    return (
        about.id.hex,
        f"{about.accepted_at:%Y-%m-%d %H:%M:%S}",
        about.account,
        about.user or "",
        line.recipient,
        about.subject[:most],
        ",".join(about.tags)[:most],
        line.state.value,
    )


def _read(reads: Reads) -> tuple[str, str]:
    """Opens and clicks, and of those the ones that no person made for sure."""
    opened, clicked = sum(reads[:3]), sum(reads[3:])
    return _of(opened, reads.opened_human), _of(clicked, reads.clicked_human)


def _of(count: int, human: int) -> str:
    return str(count) if count == human else f"{count} ({human} by people)"
