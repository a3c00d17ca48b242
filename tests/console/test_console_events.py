"""GET /v1/events: pages, and server-sent events that are followed."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from console.event_stream import EventStream
from posthouse.store.event_pages import EventPages, WantedEvents, cursor_of, cursor_text
from servers.door import ExactClient
from servers.patience import on_this_machine
from servers.running_console import BRANCH, OTHER, SHOP, RunningConsole
from servers.stores import delivered

PATH = "/v1/events"


async def all_events(console: RunningConsole, words: str, user: str = "shop") -> list[Any]:
    """All pages."""
    found, more, cursor = [], True, ""
    while more:
        answer = await console.get(f"{PATH}?limit=2{words}{cursor}", user=user)
        assert answer.status == 200, answer.body
        page = answer.value
        assert len(page["events"]) <= 2
        found += page["events"]
        more, cursor = page["more"], f"&cursor={page['cursor']}"
    return found


async def test_events_are_told_in_pages_to_who_has_them(console: RunningConsole) -> None:
    ids = [(await console.message(a))[0].submission_id.hex for a in (SHOP, OTHER, BRANCH)]
    claimed = (await console.stores.deliveries.claim(1)).deliveries[0]
    await console.stores.deliveries.settle(delivered(claimed))
    told = await all_events(console, "")
    assert [(one["type"], one["account"], one["message"]) for one in told] == [
        ("message.accepted", "shop", ids[0]),
        ("message.accepted", "branch", ids[2]),
        ("message.delivered", "shop", ids[0]),
    ]
    assert told[2]["recipient"] == claimed.delivery.recipient
    kinds = await all_events(console, "&kind=delivered&kind=bounced&since=1h")
    assert [one["id"] for one in kinds] == [told[2]["id"]]
    assert [one["message"] for one in await all_events(console, "&account=branch")] == [ids[2]]
    assert [one["message"] for one in await all_events(console, "", "other")] == [ids[1]]
    for wrong in ("kind=lost", "since=soon", "cursor=x", "cursor=%C3%BC", "limit=501"):
        answer = await console.get(f"{PATH}?{wrong}")
        assert (answer.status, answer.value["type"]) == (422, "/v1/docs#invalid"), wrong


async def next_event(client: ExactClient) -> dict[str, str]:
    """The next event of a stream; comments are passed over."""
    fields: dict[str, str] = {}
    async with asyncio.timeout(on_this_machine(20)):
        while True:
            line = (await client.reader.readline()).decode().rstrip("\r\n")
            name, colon, value = line.partition(": ")
            if name and colon and name in ("id", "event", "data"):
                fields[name] = value
            elif "data" in fields:
                return fields


async def follow(client: ExactClient, fields: str = "") -> None:
    """Ask for a stream, and see that it began."""
    await client.send(
        f"GET {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer shop.secret of shop\r\n"
        f"Accept: text/event-stream\r\n{fields}\r\n".encode()
    )
    async with asyncio.timeout(on_this_machine(20)):
        head = await client.reader.readuntil(b": hello\n\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"content-type: text/event-stream" in head


async def test_who_follows_goes_on_where_it_was_cut_off(console: RunningConsole) -> None:
    await console.message(SHOP)
    async with console.client() as client:
        await follow(client)
        (one, _) = await console.message(SHOP)
        await console.message(OTHER)
        event = await next_event(client)
        assert event["event"] == "message.accepted"
        assert one.submission_id.hex in event["data"]
    (missed, _) = await console.message(BRANCH)
    async with console.client() as client:
        await follow(client, f"Last-Event-ID: {event['id']}\r\n")
        again = await next_event(client)
        assert missed.submission_id.hex in again["data"]
        assert cursor_text(cursor_of(again["id"])) == again["id"]


async def test_who_does_not_read_is_left_and_who_reads_for_long_comes_again(
    console: RunningConsole,
) -> None:
    """No more is kept for it than what was sent before."""
    for _ in range(3):
        await console.message(SHOP)
    pages = EventPages(console.stores.database)
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def stuck(message: MutableMapping[str, Any]) -> None:
        sent.append(message)
        if b"data:" in message.get("body", b""):
            await asyncio.Event().wait()

    async def quick(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    slow = EventStream(pages, WantedEvents([SHOP]), await pages.start(), read_seconds=0.01)
    await slow({"type": "http"}, receive, stuck)
    assert [one.get("more_body") for one in sent] == [None, True, True]
    sent.clear()
    ending = EventStream(pages, WantedEvents([SHOP]), await pages.start(), most_seconds=0.5)
    await ending({"type": "http"}, receive, quick)
    assert (sent[-1]["body"], sent[-1]["more_body"]) == (b"", False)
