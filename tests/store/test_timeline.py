"""The story of a message, and how the queue stands."""

from datetime import timedelta
from uuid import UUID

from posthouse.mail.lane import Lane
from servers.stores import Stores, a_submission, bounced, deferred, delivered

LATER = timedelta(hours=1)


async def test_a_message_tells_its_story_in_order(stores: Stores) -> None:
    """Two recipients: one takes it at the second try, the other is dead."""
    ann, bob = await stores.queue()
    for_ann, for_bob = (await stores.deliveries.claim(2)).deliveries
    await stores.deliveries.settle(deferred(for_ann))
    await stores.deliveries.settle(bounced(for_bob))
    (again,) = (await stores.deliveries.claim(2)).deliveries
    await stores.deliveries.settle(delivered(again))

    story = await stores.story(ann.submission_id)
    assert story.submission["recipients"] == ["ann@dest.example", "bob@dest.example"]
    assert [(e["kind"], e["delivery_id"]) for e in story.events] == [
        ("accepted", None),
        ("prepared", None),
        ("deferred", ann.id),
        ("bounced", bob.id),
        ("delivered", ann.id),
    ]
    assert [(a["delivery_id"], a["claim"], a["outcome"]) for a in story.attempts] == [
        (ann.id, 1, "deferred"), (bob.id, 1, "bounced"), (ann.id, 2, "delivered"),
    ]  # fmt: skip
    assert {d["due_at"] for d in story.deliveries} == {None}


async def test_an_open_delivery_says_when_and_what_it_waits_for(stores: Stores) -> None:
    await stores.queue()
    one, two = (await stores.deliveries.claim(2)).deliveries
    await stores.deliveries.settle(deferred(one, LATER))
    await stores.deliveries.park([(two, "dest.example")])
    story = await stores.story(one.delivery.submission_id)
    waiting, parked = story.deliveries
    assert (story.events[-1]["at"] + LATER, 1) == (waiting["due_at"], waiting["tries"])
    assert parked["parked_at"] == "dest.example"


async def test_a_message_that_never_was_has_no_story(stores: Stores) -> None:
    assert await stores.timeline.of_submission(UUID(int=1)) is None


async def test_the_queue_is_told_by_stage_lane_and_state(stores: Stores) -> None:
    for lane in (Lane.HIGH, Lane.HIGH, Lane.BULK):
        await stores.submissions.accept(a_submission(lane))
    (refused, _) = (await stores.submissions.claim(2)).submissions
    await stores.submissions.quarantine(refused, "no From field")

    lines = {(x.stage, x.lane, x.state): x.messages for x in await stores.timeline.queue()}
    assert lines == {
        ("policy", Lane.HIGH, "inflight"): 1,
        ("policy", Lane.HIGH, "quarantined"): 1,
        ("policy", Lane.BULK, "ready"): 1,
    }


async def test_deliveries_are_ready_inflight_deferred_or_parked(stores: Stores) -> None:
    await stores.queue(recipients=tuple(f"{n}@dest.example" for n in range(9)))
    held = (await stores.deliveries.claim(6)).deliveries
    await stores.deliveries.settle(deferred(held[0], LATER))
    await stores.deliveries.park([(c, "dest.example") for c in held[1:3]])
    await stores.sql("UPDATE due_deliveries SET received_at = now() - interval '1 hour'")

    lines = {x.state: x for x in await stores.timeline.queue()}
    counts = {state: line.messages for state, line in lines.items()}
    assert counts == {"ready": 3, "inflight": 3, "deferred": 1, "parked": 2}
    assert {x.stage for x in lines.values()} == {"delivery"}
    assert all(3600 <= x.oldest_seconds < 3700 for x in lines.values())
