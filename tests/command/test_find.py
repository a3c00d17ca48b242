"""`posthouse find` shows messages and what has become of them."""

import asyncio
import json
from collections.abc import Callable
from typing import TypeAlias
from uuid import UUID

from posthouse.mail.headline import Headline
from posthouse.store.event_feed import EventFeed, EventPage
from posthouse.store.message_keys import READER, MessageKeys
from servers.posthouse_command import Run
from servers.stores import a_submission, open_stores

Command: TypeAlias = Callable[..., Run]


async def accepted(url: str, *recipients: tuple[str, ...]) -> list[UUID]:
    """A message to each of *recipients*, with keys."""
    async with open_stores(url) as stores:
        messages = [
            a_submission(recipients=to, headline=Headline("\x1b[1mred")) for to in recipients
        ]
        for one in messages:
            await stores.submissions.accept(one)
        feed = EventFeed(stores.database)
        page = await feed.read(await feed.position(READER))
        assert isinstance(page, EventPage)
        assert await MessageKeys(stores.database).take(page)
        return [one.id for one in messages]


def test_messages_are_found_and_shown_in_pages(posthouse: Command, database: str) -> None:
    ann, bob = ("ann@dest.example",), tuple(f"bob{n}@dest.example" for n in range(5))
    older, newer = asyncio.run(accepted(database, ann, (*bob, *ann)))
    shown = posthouse("find", "--to", "Ann@dest.example").stdout
    assert shown.index(newer.hex) < shown.index(older.hex)
    assert "bob2@dest.example ready" in shown
    assert "and 3 more" in shown
    assert "\x1b" not in shown
    page = json.loads(posthouse("find", "--to", *ann, "--limit", "1", "--json").stdout)
    assert [newer.hex] == [one["id"] for one in page["messages"]]
    rest = posthouse("find", "--to", *ann, "--cursor", page["cursor"]).stdout
    assert (True, False) == (older.hex in rest, newer.hex in rest)
    assert "no message was found" in posthouse("find", "--from", "x@y.example").stdout
    assert "nobody" in posthouse("find", "--account", "nobody", status=1).stderr
    assert "tag needs account" in posthouse("find", "--tag", "may", status=1).stderr
