"""What happens to mail, for programs: in pages, or followed (docs/events.md)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from console.call import Answer, Call, ConsoleRoute, invalid, reading
from console.event_stream import EventStream
from posthouse.http.api_description import About, QueryWord, number_word
from posthouse.http.http_response import HttpResponse
from posthouse.mail.moment_text import UnreadableMoment, moment_in
from posthouse.mail.permission import Permission
from posthouse.store.event_feed import EventCursor
from posthouse.store.event_pages import (
    EventPages,
    EventSlice,
    UnusableCursor,
    WantedEvents,
    cursor_of,
    cursor_text,
)
from posthouse.webhooks.public_kinds import PUBLIC_KINDS

_STREAM = "text/event-stream"
_MOST = 500
_MOST_OCTETS = 4_194_304  # of a page
_KINDS = {"type": "array", "items": {"type": "string", "enum": list(PUBLIC_KINDS)}}


class EventList(Struct, frozen=True):
    """Events in the order in which they were committed."""

    events: list[dict[str, Any]]
    cursor: str  # behind them
    more: bool  # others can be read at once


class EventRoutes:
    """Reads."""

    def __init__(self, pages: EventPages) -> None:
        self._pages = pages

    def routes(self) -> Iterator[ConsoleRoute]:
        """Where they are found."""
        about = About(
            "Tell what happens to mail: a page, or as server-sent events from now on.",
            ((200, "Events, oldest first; it may have none, and still more.", EventList),),
            query=(
                QueryWord("kind", "Only of this kind; any number.", _KINDS),
                QueryWord("since", "30min, 2h, 5d, or 2026-11-30T14:00 in UTC; some may be older."),
                QueryWord("cursor", "Go on from there: the page before ended with it."),
                number_word("limit", "Most events of a page.", 100, _MOST),
            ),
            media_types=(_STREAM,),
        )
        yield ConsoleRoute("GET", "/v1/events", Permission.READ_EVENTS, self.events, about)

    async def events(self, call: Call) -> Answer:
        """A page, or a stream."""
        kinds = call.lists.get("kind", PUBLIC_KINDS)
        if unknown := set(kinds) - set(PUBLIC_KINDS):
            raise invalid(f"kind: {min(unknown)[:80]!a} is none of {', '.join(PUBLIC_KINDS)}")
        wanted = WantedEvents(list(call.accounts.values()), kinds)
        limit = call.number("limit", 100, _MOST)
        follows = call.wants(_STREAM)
        after = await self._after(call, follows=follows)
        if follows:
            return EventStream(self._pages, wanted, after)
        return _page(await self._pages.page(after, wanted, limit))

    async def _after(self, call: Call, *, follows: bool) -> EventCursor:
        """Where the call begins; raises Problem."""
        told = call.request.headers.get("last-event-id") if follows else None
        given = told or call.words.get("cursor")
        if given is not None:
            with reading(UnusableCursor):
                return cursor_of(given)
        if "since" in call.words:
            with reading(UnreadableMoment):
                moment = moment_in(call.words["since"], datetime.now(UTC))
            return await self._pages.since(moment)
        return await (self._pages.now() if follows else self._pages.start())


def _page(found: EventSlice) -> HttpResponse:
    """As much of *found* as a page may have octets, but one event at least."""
    lines: list[bytes] = []
    octets, cursor, more = 0, found.cursor, found.more
    for one in found.events:
        line = one.json
        octets += len(line)
        if lines and octets > _MOST_OCTETS:
            more = True
            break
        lines.append(line)
        cursor = one.cursor
    if len(lines) == len(found.events):
        cursor = found.cursor
    body = b'{"events":[%b],"cursor":"%b","more":%b}' % (
        b",".join(lines), cursor_text(cursor).encode(), b"true" if more else b"false",
    )  # fmt: skip
    return HttpResponse(200, body)
