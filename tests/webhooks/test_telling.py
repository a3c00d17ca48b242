"""What an endpoint is told, over real HTTP from a real database."""

import json
from datetime import datetime
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from posthouse.mail.events import EventKind
from posthouse.mail.submission import Attributes
from posthouse.store.webhook_batches import WebhookBatches
from posthouse.webhooks.webhook_signature import secret_text
from servers.patience import eventually
from servers.stores import ACCOUNT
from servers.webhooking import SECRET, Webhooked

ANSWER = {"code": 250, "enhanced": "2.0.0", "reply": "so it is"}


async def test_an_event_is_told_with_all_that_belongs_to_it(hooked: Webhooked) -> None:
    await hooked.endpoint(fields={"Authorization": "Basic dTpw", "X-Team": "7"})
    asked = Attributes(
        tags=("order",), stream="news", campaign="May", metadata={"order": 7, "list": ["a"]}
    )
    async with hooked.telling():
        (delivery,) = await hooked.send(
            detail=ANSWER | {"scope": "recipient", "dsn": "relayed"},
            attributes=asked,
            recipients=("ann@dest.example",),
        )
        await hooked.nothing_waits()
    accepted, delivered = hooked.sink.events()
    (first, *_) = hooked.sink.requests
    assert ("Basic dTpw", "7") == (first.fields["authorization"], first.fields["x-team"])
    assert ["message.accepted", 1] == [accepted["type"], accepted["sequence"]]
    assert datetime.fromisoformat(delivered.pop("at"))
    message = await hooked.stores.value("SELECT id FROM submissions")
    ids = await hooked.stores.sql("SELECT id FROM events WHERE kind = 'delivered'")
    assert {
        "id": ids[0]["id"].hex,
        "type": "message.delivered",
        "sequence": 3,
        "account": "shop",
        "message": message.hex,
        "delivery": delivery.hex,
        "recipient": "ann@dest.example",
        "sender": "shop@sender.example",
        "subject": None,
        "message_id": None,
        "stream": "news",
        "campaign": "May",
        "tags": ["order"],
        "metadata": {"order": 7, "list": ["a"]},
        "detail": {
            "host": "mx.dest.example",
            "answer": {"code": 250, "enhanced": "2.0.0", "text": "so it is"},
        },
    } == delivered


async def test_a_verifier_of_others_takes_our_signature(hooked: Webhooked) -> None:
    """The reference library; and what somebody changed is refused."""
    await hooked.endpoint()
    async with hooked.telling():
        await hooked.send()
        await hooked.nothing_waits()
    request = hooked.sink.requests[0]
    verifier = Webhook(secret_text(SECRET))
    assert "events" == verifier.verify(request.body, request.fields)["type"]
    with pytest.raises(WebhookVerificationError):
        verifier.verify(request.body.replace(b"accepted", b"bounced!"), request.fields)


async def test_an_endpoint_gets_the_kinds_and_streams_it_asked_for(hooked: Webhooked) -> None:
    await hooked.stores.sql("INSERT INTO accounts (name) VALUES ('other')")
    other = await hooked.stores.value("SELECT id FROM accounts WHERE name = 'other'")
    await hooked.endpoint("/bounces", kinds=("bounced",))
    await hooked.endpoint("/news", streams=("news",))
    await hooked.endpoint("/other", account=other)
    async with hooked.telling():
        await hooked.send(EventKind.BOUNCED, {"class": "no such mailbox"})
        await hooked.send(attributes=Attributes(stream="news"))
        await hooked.nothing_waits()
    kinds = [event["type"] for event in hooked.sink.events("/bounces")]
    assert ["message.bounced"] * 2 == kinds
    assert {"news"} == {event["stream"] for event in hooked.sink.events("/news")}
    assert [] == hooked.sink.events("/other")


async def test_what_fails_is_sent_again_with_the_same_ids(hooked: Webhooked) -> None:
    """A dead endpoint gets one request at a time; then all goes, the oldest first."""
    hook = await hooked.endpoint()
    hooked.sink.answer = lambda number, _path: 503 if number < 3 else 200
    async with hooked.telling():
        for count in range(1, 4):
            await hooked.send()
            await hooked.all_queued()
            await hooked.sink.was_asked(count)
            await hooked.stores.sql("UPDATE webhook_endpoints SET retry_at = now()")
        await hooked.nothing_waits()
    first, again, *_ = hooked.sink.requests
    assert (first.body, first.fields["webhook-id"]) == (again.body, again.fields["webhook-id"])
    told = [event["id"] for event in hooked.sink.events()]
    rows = await hooked.stores.sql(
        "SELECT id FROM events WHERE kind IN ('accepted', 'delivered') ORDER BY xid, id"
    )
    assert [row["id"].hex for row in rows] == told
    made = await hooked.webhooks.attempts(hook.id, 10)
    assert ["taken", "refused", "refused", "refused"] == [a.result for a in made][-4:]
    assert [1, 2, 3, 4] == [a.number for a in reversed(made)][:4]
    assert "working" == (await hooked.again(hook.id)).state


async def test_a_slow_and_a_dead_endpoint_delay_nobody(hooked: Webhooked) -> None:
    await hooked.endpoint("/slow")
    await hooked.endpoint("/dead", url="http://127.0.0.1:9/")
    await hooked.endpoint("/good")
    hooked.sink.answer = lambda _number, path: None if path == "/slow" else 200
    async with hooked.telling(seconds=2.0):
        for _ in range(3):
            await hooked.send()
            await hooked.all_queued()
        await hooked.sink.has(9, "/good")

    async def failed() -> bool:
        states = {hook.state.value for hook in await hooked.webhooks.all(ACCOUNT)}
        return states == {"failing", "working"}

    await eventually(failed)
    results = await hooked.stores.sql("SELECT DISTINCT result FROM webhook_attempts")
    assert {"timed_out", "unreachable", "taken"} == {row["result"] for row in results}


async def test_a_request_that_is_refused_for_what_it_is_holds_up_no_other(
    hooked: Webhooked,
) -> None:
    hook = await hooked.endpoint()
    hooked.sink.answer = lambda number, _path: 400 if number == 0 else 200
    async with hooked.telling():
        await hooked.send()
        await hooked.sink.was_asked(1)
        await hooked.send()
        refused = json.loads(hooked.sink.requests[0].body)["data"]
        await hooked.sink.has(6 - len(refused))
        assert "working" == (await hooked.again(hook.id)).state
        left: Any = await hooked.stores.value("SELECT ids FROM webhook_batches")
        assert [event["id"] for event in refused] == [id_.hex for id_ in left]
        await hooked.retry_now()
        await hooked.nothing_waits()
    assert refused in [request.events for request in hooked.sink.taken()]


async def test_a_change_of_the_dialect_mixes_no_forms_in_a_request(hooked: Webhooked) -> None:
    """What was written in one form is sent in that form, and never beside another."""
    hook = await hooked.endpoint()
    hooked.sink.answer = lambda _number, _path: 503
    async with hooked.telling():
        await hooked.send()
        await hooked.all_queued()
    await hooked.stores.sql("UPDATE webhook_endpoints SET dialect = 'sparkpost'")
    await hooked.stores.sql("UPDATE webhook_batches SET claim = 0, tries = 0, due_at = now()")
    await hooked.stores.sql("UPDATE webhook_endpoints SET retry_at = NULL, failing_since = NULL")
    async with hooked.telling():
        await hooked.send()
        await hooked.all_queued()
    batches = WebhookBatches(hooked.stores.database)
    await hooked.stores.sql("UPDATE webhook_batches SET claim = 0, leased = false, due_at = now()")
    await hooked.stores.sql("UPDATE webhook_endpoints SET retry_at = NULL, failing_since = NULL")
    seen: dict[str, list[bytes]] = {}
    while (batch := await batches.claim(hook.id, 1000, 1 << 20)) is not None:
        seen.setdefault(batch.dialect, []).append(batch.body)
    assert {"native", "sparkpost"} == set(seen)
    assert all(b'"sequence"' in body and b'"msys"' not in body for body in seen["native"])
    assert all(b'"sequence"' not in body for body in seen["sparkpost"])
