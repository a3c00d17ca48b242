"""The dispatcher over the real store: what is claimed, sent and written down."""

import asyncio
from collections.abc import Sequence

import pytest

from dispatcher.core.classify import classify_refusal
from posthouse.answers import RULES_VERSION, Stage
from posthouse.mail.lane import Lane
from posthouse.mail.outcome import Deferred, Delivered, Outcome
from posthouse.mail.reply import Reply
from posthouse.mail.scope import Scope
from posthouse.store.deliveries import ClaimedDelivery, DeliveryStore
from posthouse.store.queries import QUERIES
from servers.dispatching import LEASE, TAKEN, World, dispatcher_of, dispatching
from servers.patience import eventually, until
from servers.stores import Stores, open_stores


async def open_deliveries(stores: Stores) -> int:
    """How many are still to be done."""
    count: int = await stores.value("SELECT count(*) FROM due_deliveries")
    return count


async def test_each_outcome_is_written_down(database: str) -> None:
    """Delivered and bounced are final, deferred comes again, the dead address is suppressed."""
    answers: dict[str, Outcome] = {
        "ok@a.example": TAKEN,
        "later@a.example": Deferred(Reply(451, "later", "4.3.0"), Scope.HOST),
        "dead@a.example": classify_refusal(Reply(550, "no such user", "5.1.1"), Stage.RCPT),
    }
    world = World(answer=answers.__getitem__)
    async with open_stores(database) as stores:
        (delivery, *_) = await stores.queue(recipients=tuple(answers))
        async with dispatching(stores, world):
            await until(lambda: len(world.ended) == len(answers))
        story = await stores.story(delivery.submission_id)
        kinds = {e["detail"]["recipient"]: e["kind"] for e in story.events if e["delivery_id"]}
        open_ones = [d["recipient"] for d in story.deliveries if d["due_at"]]
        suppressed = await stores.sql("SELECT address, rule, version FROM suppressions")

    assert {
        "ok@a.example": "delivered",
        "later@a.example": "deferred",
        "dead@a.example": "bounced",
    } == kinds
    assert ["later@a.example"] == open_ones
    assert [("dead@a.example", "no such user", str(RULES_VERSION))] == [
        (row["address"], row["rule"], row["version"]) for row in suppressed
    ]
    assert {"delivered", "deferred", "bounced"} == {a["outcome"] for a in story.attempts}


async def test_a_fault_of_ours_on_one_message_leaves_the_others_alone(database: str) -> None:
    """Poison is put off and logged; what comes after it is delivered."""

    def answer(recipient: str) -> Outcome:
        if recipient.startswith("poison"):
            raise RuntimeError("a bug")
        return TAKEN

    async with open_stores(database) as stores:
        await stores.queue(recipients=("poison@a.example", "ok1@a.example", "ok2@a.example"))
        async with dispatching(stores, World(answer=answer)):
            await until_open(stores, 1)
        (row,) = await stores.sql("SELECT tries, leased FROM due_deliveries")

    assert (1, False) == (row["tries"], row["leased"])


async def test_a_reply_that_the_store_cannot_keep_ends_the_delivery_all_the_same(
    database: str,
) -> None:
    """PostgreSQL has no NUL in text: the result counts, without what was said."""
    world = World(answer=lambda _: Delivered(Reply(250, "taken \0")))
    async with open_stores(database) as stores:
        (delivery, *_) = await stores.queue(recipients=("r@a.example",))
        async with dispatching(stores, world):
            await until_open(stores, 0)
        kinds = await stores.kinds(delivery.submission_id)

    assert ["accepted", "prepared", "delivered"] == kinds


async def test_a_message_that_is_gone_is_bounced_and_nothing_is_sent(database: str) -> None:
    """Past its retention there is nothing to send; no recipient is suppressed for it."""
    world = World()
    async with open_stores(database) as stores:
        (delivery, *_) = await stores.queue(recipients=("r@a.example",))
        await stores.sql("DELETE FROM renditions")
        async with dispatching(stores, world):
            await until_open(stores, 0)
        kinds = await stores.kinds(delivery.submission_id)
        suppressed = await stores.value("SELECT count(*) FROM suppressions")

    assert [] == world.began
    assert ["accepted", "prepared", "bounced"] == kinds
    assert 0 == suppressed


async def test_a_full_site_delays_no_other_and_gets_everything(database: str) -> None:
    """Deliveries for a slow site with room for one wait in the store, not in the way."""
    slow = tuple(f"r{n}@slow.example" for n in range(30))
    quick = tuple(f"r{n}@quick{n}.example" for n in range(30))
    world = World(seconds=0.05)
    async with open_stores(database) as stores:
        await stores.queue(recipients=slow)
        await stores.queue(recipients=quick)
        async with dispatching(stores, world, connections=10, site_limit=2):
            await until(lambda: len(world.ended) == 60, within=20)
            await until_open(stores, 0)

    assert sorted(slow + quick) == sorted(world.ended)
    after_quick = world.ended[max(world.ended.index(r) for r in quick) :]
    assert any(r in slow for r in after_quick)


class AnswersLate(DeliveryStore):
    """Says that a delivery was parked only when that was claimed again."""

    async def park(self, parked: Sequence[tuple[ClaimedDelivery, str]]) -> None:
        """See `posthouse.store.deliveries`."""
        await super().park(parked)
        self.claimed_again = asyncio.Event()
        await self.claimed_again.wait()

    async def claim_parked(self, waits_for: str, limit: int) -> tuple[ClaimedDelivery, ...]:
        """See `posthouse.store.deliveries`."""
        claimed = await super().claim_parked(waits_for, limit)
        if claimed:
            self.claimed_again.set()
        return claimed


async def test_a_parked_delivery_that_is_claimed_before_we_hear_that_it_is_parked_is_sent(
    database: str,
) -> None:
    """Two connections to the store: the answer on one may overtake the answer on the other."""
    world = World(seconds=0.2)
    async with open_stores(database) as stores:
        await stores.queue(recipients=("r1@slow.example", "r2@slow.example"))
        async with dispatching(stores, world, site_limit=1, store=AnswersLate):
            await until_open(stores, 0)
        outcomes = await stores.sql("SELECT outcome FROM attempts")

    assert ["delivered"] * 2 == [row["outcome"] for row in outcomes]


async def test_stopping_finishes_what_is_on_the_wire_and_gives_back_the_rest(database: str) -> None:
    """No delivery is left under a lease, none counts as uncertain, none is sent twice."""
    recipients = tuple(f"r{n}@a.example" for n in range(40))
    first, second = World(seconds=0.3), World()
    async with open_stores(database) as stores:
        (delivery, *_) = await stores.queue(recipients=recipients)
        async with dispatching(stores, first, connections=4) as stopping:
            await until(lambda: len(first.began) == 4)
            stopping.set()
        leased = await stores.value("SELECT count(*) FROM due_deliveries WHERE leased")
        async with dispatching(stores, second):
            await until_open(stores, 0)
        kinds = await stores.kinds(delivery.submission_id)

    assert 0 == leased
    assert first.began == first.ended
    assert sorted(recipients) == sorted(first.ended + second.ended)
    assert "uncertain" not in kinds


async def test_cancelling_it_breaks_off_what_is_on_the_wire_and_starts_nothing_more(
    database: str,
) -> None:
    """As a second signal does: it ends as cancelled, and no task of it fails on the way."""
    world = World(seconds=0.005)
    async with open_stores(database) as stores:
        await stores.queue(recipients=tuple(f"r{n}@a.example" for n in range(600)))
        running = asyncio.create_task(dispatcher_of(stores, world, 4, 20).run(asyncio.Event()))
        await until(lambda: len(world.ended) >= 200)  # so fast that some wait here for their turn
        world.seconds = 30
        began = len(world.began)
        await until(lambda: len(world.began) == began + 4)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    assert began + 4 == len(world.began)


async def test_a_transaction_longer_than_its_lease_is_not_taken_over(database: str) -> None:
    """The lease is renewed while it runs; a second dispatcher sees nothing due."""
    slow, rival = World(seconds=LEASE * 1.5), World()
    async with open_stores(database) as stores:
        (delivery, *_) = await stores.queue(recipients=("r@a.example",))
        async with dispatching(stores, slow):
            await until(lambda: slow.began == ["r@a.example"])
            async with dispatching(stores, rival):
                await until_open(stores, 0, seconds=LEASE * 3)
        kinds = await stores.kinds(delivery.submission_id)

    assert [] == rival.began
    assert ["accepted", "prepared", "delivered"] == kinds


async def test_a_lease_of_ours_that_ran_out_and_came_back_sends_nothing_twice(
    database: str,
) -> None:
    """As after an outage of the store: the transaction on the wire goes on under the new claim."""
    world = World(seconds=1.0)
    async with open_stores(database) as stores:
        (delivery, *_) = await stores.queue(recipients=("r@a.example",))
        async with dispatching(stores, world):
            await until(lambda: world.began == ["r@a.example"])
            await stores.run_out()
            await until_open(stores, 0)
        kinds = await stores.kinds(delivery.submission_id)

    assert ["r@a.example"] == world.began
    assert "delivered" == kinds[-1]


LOCKED = "LOCK TABLE due_deliveries IN ACCESS EXCLUSIVE MODE"
WAITING = """
SELECT count(*) FILTER (WHERE starts_with($1, query)) > 0
       AND count(*) FILTER (WHERE starts_with($2, query)) = 0
FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


async def test_results_go_before_claims_when_locked_tables_are_free_again(database: str) -> None:
    """Leases ran out while nothing could be written; no process takes over answered deliveries."""
    world, rival = World(seconds=0.5), World()
    recipients = tuple(f"{number}@a.example" for number in range(20))
    async with open_stores(database) as stores, open_stores(database) as others:
        (delivery, *_) = await stores.queue(recipients=recipients)
        async with dispatching(stores, world):
            await until(lambda: len(world.began) == len(recipients))
            async with dispatching(others, rival):
                async with stores.database.connection() as operator, operator.transaction():
                    await operator.execute(LOCKED)
                    await asyncio.sleep(LEASE)
                    # The moment that is worst: a claim is next, and the results try again soon.
                    rivals = QUERIES["claim_deliveries"], QUERIES["settle_deliveries"]
                    await eventually(lambda: stores.value(WAITING, *rivals))
                await until_open(stores, 0, seconds=LEASE * 3)
        kinds = await stores.kinds(delivery.submission_id)

    assert [] == rival.began
    assert "uncertain" not in kinds


async def test_an_answer_that_came_too_late_is_written_down_when_its_claim_comes_back(
    database: str,
) -> None:
    """The claim moved on while the result was on its way: the result counts, nothing is sent."""
    world = World()
    async with open_stores(database) as stores:
        (delivery, *_) = await stores.queue(recipients=("r@a.example",))
        for statement in MOVE_ON:
            await stores.sql(statement)
        async with dispatching(stores, world):
            await until_open(stores, 0, seconds=LEASE * 3)
        kinds = await stores.kinds(delivery.submission_id)

    assert ["r@a.example"] == world.began
    assert "delivered" == kinds[-1]


# The first result finds its claim gone, as if somebody had taken it over in between and died.
MOVE_ON = (
    "CREATE SEQUENCE deaths",
    """CREATE FUNCTION move_on() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RETURN CASE WHEN nextval('deaths') > 1 THEN OLD END;
    END $$""",
    """CREATE TRIGGER move_on BEFORE DELETE ON due_deliveries
        FOR EACH ROW EXECUTE FUNCTION move_on()""",
)


async def test_the_higher_lane_goes_first(database: str) -> None:
    """What waits in the highest lane starts before anything below it."""
    world = World(seconds=0.01)
    async with open_stores(database) as stores:
        for lane in (Lane.BULK, Lane.NORMAL, Lane.VERY_HIGH):
            await stores.queue(
                lane, recipients=tuple(f"{lane.label}{n}@a.example" for n in range(20))
            )
        async with dispatching(stores, world, connections=5):
            await until_open(stores, 0)

    lanes = [recipient.partition("@")[0].rstrip("0123456789") for recipient in world.began]
    assert ["very-high"] * 20 + ["normal"] * 20 + ["bulk"] * 20 == lanes


async def test_alerts_that_are_always_on_the_wire_do_not_starve_bulk(database: str) -> None:
    """Bulk waits for alerts that are due; for those on the wire only for a limited time."""
    world = World(seconds=0.4)
    async with open_stores(database) as stores:
        await stores.queue(Lane.BULK, recipients=("bulk@a.example",))
        async with dispatching(stores, world):
            for n in range(50):
                await stores.queue(Lane.VERY_HIGH, recipients=(f"alert{n}@a.example",))
                if "bulk@a.example" in world.began:
                    break
                await asyncio.sleep(0.1)
            await until_open(stores, 0)

    assert len(world.began) < 50


async def until_open(stores: Stores, expected: int, seconds: float = 10.0) -> None:
    """Return when *expected* deliveries are still to be done."""

    async def holds() -> bool:
        return await open_deliveries(stores) == expected

    await eventually(holds, seconds, look=0.02)
