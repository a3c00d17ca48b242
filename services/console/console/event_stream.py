"""Events as they happen, over a response that stays open (server-sent events).

The WHATWG's form: `id` is the cursor behind the event, with which a client that was cut off goes on
(Last-Event-ID). No connection to the database is held while the client reads.
"""

import asyncio
from contextlib import suppress

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from posthouse.store import StoreUnavailable
from posthouse.store.event_feed import EventCursor
from posthouse.store.event_pages import EventPages, PlacedEvent, WantedEvents, cursor_text

log = structlog.get_logger()

_AT_ONCE = 100  # events: no more than these are kept for a slow reader
_LOOK_SECONDS = 1.0
_QUIET_SECONDS = 15.0  # then a comment shows that the connection lives
_READ_SECONDS = 30.0  # that a client has to read what it was sent
# So that a key that was withdrawn does not go on. Clients connect again by themselves.
_MOST_SECONDS = 600.0
_FIELDS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class EventStream(Response):
    """Follows the events; ends when the client leaves, reads too slowly, or after ten minutes."""

    media_type = "text/event-stream"

    def __init__(
        self,
        pages: EventPages,
        wanted: WantedEvents,
        after: EventCursor,
        *,
        read_seconds: float = _READ_SECONDS,
        most_seconds: float = _MOST_SECONDS,
    ) -> None:
        """Begin after *after*."""
        super().__init__(headers=_FIELDS)
        del self.headers["content-length"]
        self._pages = pages
        self._wanted = wanted
        self._after = after
        self._read_seconds = read_seconds
        self._most_seconds = most_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until it ends."""
        del scope
        await send({
            "type": "http.response.start", "status": self.status_code, "headers": self.raw_headers,
        })  # fmt: skip
        gone = asyncio.create_task(_gone(receive))
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._most_seconds):
                    await self._follow(send, gone)
            if not gone.done():
                await self._send(send, b"", more=False)
        except TooSlow:
            log.info("event_reader_too_slow", seconds=self._read_seconds)
        finally:
            gone.cancel()

    async def _follow(self, send: Send, gone: "asyncio.Task[None]") -> None:
        quiet = 0.0
        await self._send(send, b": hello\n\n")
        while not gone.done():
            chunk, more = await self._next()
            if chunk or quiet >= _QUIET_SECONDS:
                await self._send(send, chunk or b": quiet\n\n")
                quiet = 0.0
            if not more:
                await asyncio.wait([gone], timeout=_LOOK_SECONDS)
                quiet += _LOOK_SECONDS

    async def _next(self) -> tuple[bytes, bool]:
        """What is to be sent, and whether there is more at once."""
        try:
            page = await self._pages.page(self._after, self._wanted, _AT_ONCE)
        except StoreUnavailable:
            return b"", False  # it is asked again
        self._after = page.cursor
        return b"".join(map(_event, page.events)), page.more

    async def _send(self, send: Send, chunk: bytes, *, more: bool = True) -> None:
        """Send; raises TooSlow when what was sent before is not read in time."""
        try:
            async with asyncio.timeout(self._read_seconds):
                await send({"type": "http.response.body", "body": chunk, "more_body": more})
        except TimeoutError as error:
            raise TooSlow from error


class TooSlow(Exception):
    """The client does not read."""


def _event(one: PlacedEvent) -> bytes:
    kind = one.event.kind.encode()
    return b"id: %b\nevent: message.%b\ndata: %b\n\n" % (
        cursor_text(one.cursor).encode(),
        kind,
        one.json,
    )


async def _gone(receive: Receive) -> None:
    """Return when the client leaves."""
    while (await receive())["type"] != "http.disconnect":
        continue
