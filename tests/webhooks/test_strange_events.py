"""Events that nobody thought of, and many of them: all others are told."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from posthouse.mail.submission import Attributes
from posthouse.store.webhook_batches import WebhookBatches
from posthouse.store.webhook_endpoints import ReplayChoice
from posthouse.webhooks.event_batch import WebhookAttempt, WebhookWish
from posthouse.webhooks.occurrence import Occurrence
from servers.webhooking import Webhooked
from webhooks.core.batching import batches

MANY, LONG = 200, 1 << 19


async def test_what_cannot_be_written_does_not_stop_what_comes_behind_it(
    hooked: Webhooked,
) -> None:
    await hooked.endpoint()
    await hooked.send(detail={"reply": "strange"})
    await hooked.stores.sql(
        "UPDATE events SET kind = 'deferred', detail = '{\"wait_seconds\": 1e30}' "
        "WHERE detail->>'reply' = 'strange'"
    )
    async with hooked.telling():
        await hooked.send()
        await hooked.nothing_waits()
    kinds = [event["type"] for event in hooked.sink.events()]
    assert (2, 2) == (kinds.count("message.accepted"), kinds.count("message.delivered"))


async def test_metadata_are_passed_on_as_they_came(hooked: Webhooked) -> None:
    """Numbers that are too large for others, names that are like ours, whatever is in them."""
    strange = {"n": 2**64 - 1, "data": [None, {"a": "\u2028</script>\U0001f600"}], "": 10**30}
    await hooked.endpoint()
    asked = Attributes(metadata=strange, shown={"to": "x" * 5000}, tags=("a", "\x7f"))
    async with hooked.telling():
        await hooked.send(attributes=asked, recipients=("a@a.example", "b@a.example"))
        await hooked.nothing_waits()
    assert [strange] * 3 == [event["metadata"] for event in hooked.sink.events()]
    assert all(b"xxxxx" not in request.body for request in hooked.sink.requests)


def test_events_are_of_one_account_and_written_once_for_all_its_endpoints() -> None:
    seen: list[UUID] = []

    class Counted(dict[str, object]):
        def get(self, key: str, default: object = None) -> object:
            if key == "host":
                seen.append(UUID(int=0))
            return super().get(key, default)

    told = [
        (UUID(int=account), an_event(number, Counted()))
        for number, account in enumerate((1, 2, 1, 2))
    ]
    wishes = [a_wish(number, account) for number, account in enumerate((1, 1, 1, 2, 3))]
    made = list(batches(told, wishes, lambda *_: None))
    assert [{0, 2}] * 3 + [{1, 3}] == [{id_.int for id_ in batch.ids} for batch in made]
    assert 4 == len(seen)


def an_event(number: int, detail: dict[str, object]) -> Occurrence:
    at = datetime(2026, 11, 30, tzinfo=UTC)
    return Occurrence(UUID(int=number), "bounced", at, 1, "shop", UUID(int=9), detail=detail)


def a_wish(number: int, account: int) -> WebhookWish:
    return WebhookWish(
        UUID(int=number), UUID(int=account), "native", frozenset(), frozenset(), timedelta()
    )


async def test_requests_that_fail_together_count_as_one_failure(hooked: Webhooked) -> None:
    """Else the second wait after a short outage would be an hour."""
    hook = await hooked.endpoint()
    store = WebhookBatches(hooked.stores.database)
    await put_batches(hooked, hook.id, 3)
    claimed = [await store.claim(hook.id, 1, LONG) for _ in range(3)]
    wait = timedelta()
    for batch in claimed:
        assert batch is not None
        await store.retry(batch, WebhookAttempt("refused", 503, 1), endpoint_waits=wait)
    assert 1 == (await hooked.again(hook.id)).failures
    probe = await store.claim(hook.id, 1, LONG)
    assert probe is not None
    assert None is await store.claim(hook.id, 1, LONG), "one at a time while it fails"
    await store.retry(probe, WebhookAttempt("refused", 503, 1), endpoint_waits=wait)
    assert 2 == (await hooked.again(hook.id)).failures


async def test_a_test_comes_before_what_waits(hooked: Webhooked) -> None:
    hook = await hooked.endpoint()
    await put_batches(hooked, hook.id, 100)
    test = UUID(int=5)
    await hooked.webhooks.test(hook.id, test, b"{}")
    claimed = await WebhookBatches(hooked.stores.database).claim(hook.id, MANY, LONG)
    assert claimed is not None
    assert test == claimed.id


async def test_nothing_more_is_kept_for_an_endpoint_that_is_paused_for_long(
    hooked: Webhooked,
) -> None:
    """And a replay tells it what it missed, from the history."""
    hook = await hooked.endpoint()
    await hooked.webhooks.pause(hook, "it moves")
    async with hooked.telling():
        await hooked.send()
        await hooked.all_queued()
        kept = (await hooked.again(hook.id)).waiting
        await hooked.stores.sql("UPDATE webhook_endpoints SET paused_at = now() - interval '8 d'")
        await hooked.send()
        await hooked.all_queued()
        assert (3, 3) == (kept, (await hooked.again(hook.id)).waiting)
        await hooked.webhooks.resume(hook)
        until = datetime.now(UTC) + timedelta(days=1)
        await hooked.webhooks.replay(hook, ReplayChoice(datetime(2000, 1, 1, tzinfo=UTC), until))
        await hooked.sink.has(9)
    assert 6 == len({event["id"] for event in hooked.sink.events()})


async def test_a_replay_waits_for_an_endpoint_that_takes_nothing(hooked: Webhooked) -> None:
    """It is not written beside what waits already, and others do not wait behind it."""
    slow, other = await hooked.endpoint("/slow"), await hooked.endpoint("/other")
    await put_batches(hooked, slow.id, 101)
    await hooked.stores.sql("UPDATE webhook_batches SET due_at = now() + interval '1 h'")
    choice = ReplayChoice(datetime(2000, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1))
    await hooked.send()
    for hook in (slow, other):
        await hooked.webhooks.replay(hook, choice)
    async with hooked.telling():
        await hooked.sink.has(6, "/other")
    assert [slow.id] == [
        row["endpoint_id"] for row in await hooked.stores.sql("SELECT * FROM webhook_replays")
    ]


async def test_what_removed_endpoints_left_is_forgotten(hooked: Webhooked) -> None:
    """Written by a process that had not seen that the endpoint was gone."""
    kept = await hooked.endpoint()
    for endpoint in (kept.id, UUID(int=6)):
        await put_batches(hooked, endpoint, 2)
        await hooked.stores.sql(
            "INSERT INTO webhook_dead_letters (id, endpoint_id, oldest_at, ids, kinds, body) "
            "VALUES (new_id(), $1, now(), '{}', '{}', '')",
            endpoint,
        )
    await WebhookBatches(hooked.stores.database).forget(timedelta(days=1))
    for table, count in (("webhook_batches", 2), ("webhook_dead_letters", 1)):
        left = await hooked.stores.sql(f"SELECT endpoint_id FROM {table}")  # noqa: S608
        assert [kept.id] * count == [row["endpoint_id"] for row in left]


async def put_batches(hooked: Webhooked, endpoint: UUID, count: int) -> None:
    await hooked.stores.sql(
        "INSERT INTO webhook_batches (endpoint_id, due_at, expires_at, oldest_at, ids, kinds, body)"
        " SELECT $1, now(), now() + interval '1 d', now(), ARRAY[new_id()], '{bounced}', '{}'"
        " FROM generate_series(1, $2)",
        endpoint,
        count,
    )
