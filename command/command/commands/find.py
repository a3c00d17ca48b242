"""`posthouse find`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import reduce
from typing import Any
from uuid import UUID

import click

from command.context import data_option, json_option, print_json, with_store
from command.provisioning import account_id
from command.table import print_line, print_table
from posthouse.mail.message_query import MessageQuery, UnusableQuery, cursor_in
from posthouse.mail.message_state import MessageState
from posthouse.mail.reply import escaped
from posthouse.store.accounts import AccountStore
from posthouse.store.message_search import FoundMessage, MessagePage, MessageSearch
from posthouse.store.postgres import Postgres

_SHOWN = 40  # characters of a subject


def query_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which messages are meant."""
    options = (
        click.option("--to", metavar="ADDRESS", help="A recipient."),
        click.option("--from", metavar="ADDRESS", help='Sender of the envelope; "<>" for none.'),
        click.option("--user", metavar="NAME", help="The SMTP user or API key that sent it."),
        click.option("--account", metavar="NAME"),
        click.option("--subject", metavar="WORDS", help="All of them, within a day."),
        click.option("--tag", metavar="TAG", help="A tag of the account, with --account."),
        click.option("--since", metavar="TIME", help="30min, 2h, 5d, or 2026-11-30T14:00 in UTC."),
        click.option("--until", metavar="TIME", help="The same; accepted before."),
        click.option(
            "--state", metavar="STATES", help=f"Of a recipient: {', '.join(MessageState)}."
        ),
    )
    return reduce(lambda decorated, option: option(decorated), reversed(options), command)


@click.command
@query_options
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@click.option("--cursor", help="Go on from there: the last line of the page before says it.")
@json_option
@data_option
def find(limit: int, cursor: str | None, *, as_json: bool, **words: str | None) -> None:
    """Find messages, newest first: all of the options have to be true of them.

    By --to, --from, --user or --tag they are found in all of the history, some seconds after they
    were accepted; by the other options within the last day, if you do not say --since.
    """
    query, before = query_of(words, cursor)

    async def work(database: Postgres) -> MessagePage:
        if query.account is not None:  # a search for one that does not exist finds nothing
            await account_id(AccountStore(database), query.account)
        return await whole_page(MessageSearch(database), query, limit, before)

    _print(with_store(work), as_json=as_json)


def query_of(
    words: Mapping[str, str | None], cursor: str | None
) -> tuple[MessageQuery, UUID | None]:
    """The query of the options, and where it goes on. Raises ClickException."""
    try:
        given = {name: word for name, word in words.items() if word is not None}
        query = MessageQuery.of(given, datetime.now(UTC))
        return query, None if cursor is None else cursor_in(cursor)
    except UnusableQuery as error:
        raise click.ClickException(str(error)) from error


async def whole_page(
    search: MessageSearch, query: MessageQuery, limit: int, before: UUID | None
) -> MessagePage:
    """Up to *limit* messages, however many have to be looked at."""
    found: list[FoundMessage] = []
    while True:
        page = await search.page(query, limit=limit - len(found), before=before)
        found += page.messages
        if page.cursor is None or len(found) == limit:
            return MessagePage(tuple(found), page.cursor)
        before = cursor_in(page.cursor)


def _print(page: MessagePage, *, as_json: bool) -> None:
    if as_json:
        print_json({"messages": [_as_json(one) for one in page.messages], "cursor": page.cursor})
        return
    rows = [
        (
            f"{one.accepted_at:%Y-%m-%d %H:%M:%S}",
            one.id.hex,
            one.account,
            one.user or "the relay",
            escaped(one.sender) or "<>",
            "\n".join(_recipients(one)),
            escaped(one.subject[:_SHOWN]),
        )
        for one in page.messages
    ]
    columns = ("accepted", "message", "account", "user", "from", "to", "subject")
    print_table(columns, rows, empty="no message was found")
    if page.cursor is not None:
        print_line(f"there may be more: --cursor {page.cursor}")


def _recipients(message: FoundMessage) -> Iterator[str]:
    """The first recipients, each with its state, and how many others there are."""
    most = 3
    for one in message.recipients[:most]:
        yield f"{escaped(one.recipient)} {one.state}"
    if (more := len(message.recipients) - most) > 0:
        yield f"and {more} more"


def _as_json(message: FoundMessage) -> dict[str, Any]:
    return {**asdict(message), "id": message.id.hex, "lane": message.lane.label}
