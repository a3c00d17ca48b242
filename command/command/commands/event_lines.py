"""`posthouse events`."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import click

from command.context import data_option, with_store
from command.provisioning import account_id
from posthouse.mail.moment_text import UnreadableMoment, moment_in
from posthouse.store.accounts import AccountStore
from posthouse.store.event_feed import EventCursor
from posthouse.store.event_pages import (
    EventPages,
    EventSlice,
    PlacedEvent,
    UnusableCursor,
    WantedEvents,
    cursor_of,
    cursor_text,
)
from posthouse.store.postgres import Postgres
from posthouse.webhooks.public_kinds import PUBLIC_KINDS

_AT_ONCE = 200
_LOOK_SECONDS = 1.0


@click.command
@click.option("--follow", is_flag=True, help="Go on with what happens, until it is stopped.")
@click.option("--account", metavar="NAME", help="Only of this account.")
@click.option(
    "--kind", "kinds", type=click.Choice(PUBLIC_KINDS), multiple=True, help="Only of this kind."
)
@click.option(
    "--since", metavar="TIME", help="30min, 2h, 5d, or 2026-11-30T14:00 in UTC.  [default: now]"
)
@click.option(
    "--cursor-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Go on where it says; it is written behind what was printed. Without it: as --since.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append to this file, which may be moved away at any time, and not to standard output.",
)
@data_option
def events(
    *,
    follow: bool,
    account: str | None,
    kinds: tuple[str, ...],
    since: str | None,
    cursor_file: Path | None,
    output: Path | None,
) -> None:
    """Print what happens to mail, an event on each line, as JSON.

    With --cursor-file each event is printed once, or again after a crash, and none is left out.
    """
    try:
        moment = None if since is None else moment_in(since, datetime.now(UTC))
    except UnreadableMoment as error:
        raise click.ClickException(str(error)) from error

    kept = _kept(cursor_file)

    async def work(database: Postgres) -> None:
        owner = None if account is None else await account_id(AccountStore(database), account)
        wanted = WantedEvents(None if owner is None else [owner], kinds or PUBLIC_KINDS)
        pages = EventPages(database)
        after = kept or await (pages.now() if moment is None else pages.since(moment))
        _keep(cursor_file, after)
        async for page in _pages(pages, after, wanted, follow=follow):
            _write(page.events, output)
            _keep(cursor_file, page.cursor)

    with suppress(KeyboardInterrupt):
        with_store(work)


async def _pages(
    pages: EventPages, after: EventCursor, wanted: WantedEvents, *, follow: bool
) -> AsyncIterator[EventSlice]:
    """What comes after *after*; without *follow* what there is now."""
    while True:
        page = await pages.page(after, wanted, _AT_ONCE)
        if page.cursor != after:
            yield page
            after = page.cursor
        if not page.more:
            if not follow:
                return
            await asyncio.sleep(_LOOK_SECONDS)


def _kept(file: Path | None) -> EventCursor | None:
    """What *file* says, if it is there. Raises ClickException."""
    if file is None or not file.exists():
        return None
    try:
        return cursor_of(file.read_text().strip())
    except UnusableCursor as error:
        raise click.ClickException(f"{file}: {error}") from error


def _write(found: Sequence[PlacedEvent], output: Path | None) -> None:
    """Write *found*, all of it, before anything else is done."""
    if not found:
        return
    lines = b"".join(one.json + b"\n" for one in found)
    if output is None:
        sys.stdout.buffer.write(lines)
        sys.stdout.buffer.flush()
        return
    with output.open("ab") as file:
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())


def _keep(file: Path | None, cursor: EventCursor) -> None:
    """Write the cursor as a whole: a crash leaves the old one or the new one."""
    if file is None:
        return
    new = file.with_name(f"{file.name}.new")
    new.write_text(f"{cursor_text(cursor)}\n")
    new.replace(file)
