"""What an endpoint is told that was late: its events are written when it takes them."""

from datetime import UTC, datetime, timedelta

from posthouse.mail.events import EventKind
from posthouse.mail.submission import Attributes
from posthouse.store.webhook_endpoints import ReplayChoice
from servers.patience import eventually
from servers.webhooking import Webhooked

BODIES = "SELECT octet_length(body) AS octets FROM webhook_batches WHERE endpoint_id = $1"
WRITTEN = "SELECT count(*) FROM webhook_batches WHERE due_at < 'infinity'"
WAIT = """
INSERT INTO webhook_batches (endpoint_id, due_at, expires_at, oldest_at, ids, kinds, body)
SELECT $1, now() + interval '1 h', now() + interval '7 d', now(), ARRAY[new_id()], '{test}', '{}'
FROM generate_series(1, $2::integer)
"""
TOLD = "SELECT id FROM events WHERE kind = ANY($1) ORDER BY xid, id"


async def test_events_of_a_paused_endpoint_are_written_when_it_is_resumed(
    hooked: Webhooked,
) -> None:
    """As it wants them, in the order of their commits, and beside one that is not late."""
    late = await hooked.endpoint("/late", streams=("news",), kinds=("bounced", "delivered"))
    await hooked.endpoint("/good")
    await hooked.webhooks.pause(late, "moves")
    async with hooked.telling():
        for stream in ("news", "orders", "news"):
            await hooked.send(attributes=Attributes(stream=stream))
            await hooked.all_queued()
        await hooked.sink.has(9, "/good")
        assert {0} == {row["octets"] for row in await hooked.stores.sql(BODIES, late.id)}
        assert 6 == (await hooked.again(late.id)).waiting
        assert [] == hooked.sink.events("/late")
        await hooked.webhooks.resume(late)
        await hooked.send(EventKind.BOUNCED, attributes=Attributes(stream="news"))
        await hooked.nothing_waits()
    told = hooked.sink.events("/late")
    assert ["message.delivered"] * 4 + ["message.bounced"] * 2 == [event["type"] for event in told]
    assert {"news"} == {event["stream"] for event in told}
    rows = await hooked.stores.sql(TOLD, ["bounced", "delivered"])
    order = [row["id"].hex for row in rows]
    assert sorted(order.index(event["id"]) for event in told) == [
        order.index(event["id"]) for event in told
    ]
    good = {event["id"]: event for event in hooked.sink.events("/good")}
    assert [good[event["id"]] for event in told] == told


async def test_one_that_fails_is_asked_with_events_and_then_told_the_rest(
    hooked: Webhooked,
) -> None:
    """Also when the request that failed is given up meanwhile."""
    await hooked.endpoint()
    hooked.sink.answer = lambda _number, _path: 503
    async with hooked.telling():
        await hooked.send()
        await hooked.sink.was_asked(1)
        await hooked.all_queued()
        await hooked.send()
        await hooked.all_queued()
        await hooked.stores.sql("DELETE FROM webhook_batches WHERE due_at < 'infinity'")
        await hooked.stores.sql("UPDATE webhook_endpoints SET retry_at = now()")
        await hooked.sink.was_asked(2)
        await hooked.send()
        await hooked.all_queued()
        assert 1 == await hooked.stores.value(WRITTEN)
        hooked.sink.answer = lambda _number, _path: 200
        await hooked.retry_now()
        await hooked.nothing_waits()
    asked, *_ = [request.events for request in hooked.sink.requests[1:]]
    assert [event["id"] for event in asked] == [
        event["id"] for event in hooked.sink.events()[: len(asked)]
    ]


async def test_dead_letters_that_were_not_written_are_written_when_they_are_replayed(
    hooked: Webhooked,
) -> None:
    hook = await hooked.endpoint()
    await hooked.webhooks.pause(hook, "moves")
    async with hooked.telling():
        await hooked.send()
        await hooked.all_queued()
        await hooked.stores.sql("UPDATE webhook_batches SET expires_at = now()")

        async def dead() -> bool:
            return (await hooked.again(hook.id)).dead == 3

        await eventually(dead)
        await hooked.webhooks.resume(hook)
        soon = datetime.now(UTC) + timedelta(days=1)
        since = soon - timedelta(days=9)
        assert 3 == await hooked.webhooks.revive(hook, ReplayChoice(since, soon))
        await hooked.nothing_waits()
    assert 3 == len(hooked.sink.events())


async def test_they_are_written_while_another_process_claims_what_is_written(
    hooked: Webhooked,
) -> None:
    late = await hooked.endpoint()
    await hooked.webhooks.pause(late, "moves")
    async with hooked.telling():
        await hooked.send()
        await hooked.all_queued()
    await hooked.webhooks.resume(late)

    async def written() -> bool:
        return bool(await hooked.stores.value(WRITTEN))

    async with hooked.stores.database.connection() as claiming, claiming.transaction():
        await claiming.execute("SELECT FROM webhook_endpoints FOR NO KEY UPDATE")
        async with hooked.telling():
            await eventually(written)


async def test_where_the_history_is_shorter_than_a_week_nothing_is_left_for_later(
    hooked: Webhooked,
) -> None:
    """Its facts would be gone before the endpoint is given up."""
    hook = await hooked.endpoint()
    await hooked.webhooks.pause(hook, "moves")
    async with hooked.telling(facts=timedelta(days=7)):
        await hooked.send()
        await hooked.all_queued()
    assert 0 < min(row["octets"] for row in await hooked.stores.sql(BODIES, hook.id))


async def test_one_that_is_slow_is_late_when_more_than_a_page_waits_for_it(
    hooked: Webhooked,
) -> None:
    hook = await hooked.endpoint()
    for number in (25, 1):
        await hooked.stores.sql(WAIT, hook.id, number)
        async with hooked.telling():
            await hooked.send()
            await hooked.all_queued()
        octets = {row["octets"] for row in await hooked.stores.sql(BODIES, hook.id)}
        assert (number == 1) == (0 in octets)
