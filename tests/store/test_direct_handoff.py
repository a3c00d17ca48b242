"""What one step hands to the next in the same process: claimed from the start, in its turn."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, TypeVar

import pytest

from posthouse.mail.lane import Lane
from posthouse.mail.terms import Committed
from posthouse.store import StoreRefused
from posthouse.store.deliveries import LARGE_OCTETS, ClaimedDelivery, DeliveryStore
from posthouse.store.direct_handoff import DirectHandoff
from posthouse.store.postgres import Postgres
from posthouse.store.submissions import ClaimedSubmission, SubmissionStore
from servers.stores import Stores, a_submission, delivered, prepared

T = TypeVar("T")
ONE = ("ann@dest.example",)
DUE, WAITS = Committed(is_due=True), Committed(is_due=False)


@dataclass
class Hands(Generic[T]):
    """Somebody who takes, and what was taken."""

    over: DirectHandoff[T] = field(default_factory=DirectHandoff)
    taken: list[T] = field(default_factory=list)
    room: int = 3

    def __post_init__(self) -> None:
        self.over.subscribe(self.take, room=lambda: self.room)

    def take(self, items: Sequence[T]) -> None:
        """Keep *items*."""
        self.taken += items


@dataclass
class Process:
    """The stores of a process in which policy and dispatcher take what they are handed."""

    submissions: SubmissionStore
    deliveries: DeliveryStore
    policy: Hands[ClaimedSubmission]
    dispatcher: Hands[ClaimedDelivery]

    async def prepare(self, lane: Lane = Lane.NORMAL) -> None:
        """Take in and prepare a message to one recipient."""
        await self.submissions.accept(a_submission(lane, recipients=ONE))
        await self.submissions.prepare([prepared(self.policy.taken.pop())])


@pytest.fixture
async def here(stores: Stores) -> AsyncIterator[Process]:
    """Over the database of *stores*; policy and dispatcher have just found nothing due."""
    policy, dispatcher = Hands[ClaimedSubmission](), Hands[ClaimedDelivery]()
    url, window = stores.url, timedelta(seconds=30)
    async with Postgres(url) as database, Postgres(url, background=True) as background:
        submissions = SubmissionStore(
            database,
            background,
            accepted=policy.over,
            prepared=dispatcher.over,
            window=window,
        )
        deliveries = DeliveryStore(database, background, prepared=dispatcher.over, window=window)
        await submissions.claim(1)
        await deliveries.claim(1)
        yield Process(submissions, deliveries, policy, dispatcher)


async def test_where_nobody_takes_everything_comes_due(stores: Stores) -> None:
    await stores.submissions.claim(10)
    assert DUE == await stores.submissions.accept(a_submission())
    assert len((await stores.submissions.claim(10)).submissions) == 1


async def test_what_is_handed_over_is_claimed_already(here: Process, stores: Stores) -> None:
    """Under the same lease."""
    submission = a_submission()
    assert WAITS == await here.submissions.accept(submission)

    (claimed,) = here.policy.taken
    assert claimed == ClaimedSubmission(submission, claims=1)
    assert not (await stores.submissions.claim(10)).submissions
    await stores.run_out()
    (again,) = (await stores.submissions.claim(10)).submissions
    assert again.claims == 2


async def test_no_more_is_handed_over_than_there_is_room_for(here: Process) -> None:
    """The first that comes due closes the way, until a claim has taken all there was."""
    here.policy.room = 3
    assert WAITS == await here.submissions.accept(a_submission())
    here.policy.room = 0
    assert DUE == await here.submissions.accept(a_submission())
    here.policy.room = 3
    assert DUE == await here.submissions.accept(a_submission())
    assert (await here.submissions.claim(1)).more
    assert not (await here.submissions.claim(10, lowest=Lane.HIGH)).more
    assert DUE == await here.submissions.accept(a_submission())
    assert not (await here.submissions.claim(10)).more
    assert WAITS == await here.submissions.accept(a_submission())


@pytest.mark.parametrize(
    ("made", "answered", "opens"),
    [
        ("before", "before", False),
        ("before", "meanwhile", False),
        ("before", "after", False),
        ("meanwhile", "meanwhile", False),
        ("meanwhile", "after", False),
        ("after", "after", True),
    ],
)
async def test_a_claim_opens_the_way_only_if_it_was_made_after_all_that_was_written_as_due(
    made: str, answered: str, *, opens: bool
) -> None:
    """It may not have seen the rest, which would wait while all are busy with what they have."""
    over = Hands[int]().over
    asked = 0

    def claim(moment: str) -> None:
        nonlocal asked
        if moment == made:
            asked = over.claim_begins()
        if moment == answered:
            over.claim_ends(asked, more=False)

    claim("before")
    with over.reserve(100):  # for more than there is room
        claim("meanwhile")
    claim("after")
    with over.reserve(1) as handed:
        assert opens == (handed == 1)


async def test_a_claim_that_may_have_left_something_does_not_open_the_way() -> None:
    over = Hands[int]().over
    over.claim_ends(over.claim_begins(), more=True)
    with over.reserve(1) as handed:
        assert not handed


async def test_a_batch_that_cannot_be_written_is_not_handed_over(here: Process) -> None:
    with pytest.raises(StoreRefused):
        await here.submissions.accept(a_submission(helo="nul\0"))
    assert here.policy.taken == []


async def test_a_prepared_delivery_goes_straight_to_the_dispatcher(
    here: Process, stores: Stores
) -> None:
    """On disk as claimed, so that a dispatcher that dies with it is noticed."""
    await here.prepare()
    (claimed,) = here.dispatcher.taken
    row = await stores.due_row(claimed)
    assert row is not None
    assert (row["leased"], row["claim"], row["claimed_at"] is not None) == (True, 1, True)
    assert (claimed.received_at, claimed.expires_at) == (row["received_at"], row["expires_at"])
    assert (await stores.deliveries.claim(10)).deliveries == ()

    await stores.run_out()
    (again,) = (await stores.deliveries.claim(10)).deliveries
    assert (again.claim, again.abandoned) == (2, True)
    assert not await here.deliveries.settle(delivered(claimed))
    assert await here.deliveries.settle(delivered(again))


async def test_what_is_on_its_way_is_taken_before_the_end(here: Process, stores: Stores) -> None:
    """No process would send items written as claimed for a step that is gone."""
    await here.submissions.accept(a_submission(recipients=ONE))
    await here.submissions.accept(a_submission(recipients=ONE))
    first, second = (prepared(claimed) for claimed in here.policy.taken)
    preparing = asyncio.create_task(here.submissions.prepare([first]))
    await asyncio.sleep(0)  # now it is being committed

    await here.dispatcher.over.close()

    await preparing
    assert 1 == len(here.dispatcher.taken)
    await here.submissions.prepare([second])
    assert 1 == len((await stores.deliveries.claim(10)).deliveries)


async def test_only_what_is_not_handed_over_is_announced(here: Process) -> None:
    await here.submissions.accept(
        a_submission(recipients=tuple(f"r{n}@x.example" for n in "12345"))
    )
    news = await here.submissions.prepare([prepared(here.policy.taken.pop())])
    assert (len(here.dispatcher.taken), news) == (3, {Lane.NORMAL: 2})


async def test_nothing_is_handed_over_past_a_higher_lane_that_is_due(
    here: Process, stores: Stores
) -> None:
    await stores.queue(Lane.HIGH)
    await here.prepare(Lane.NORMAL)
    assert here.dispatcher.taken == []
    await here.prepare(Lane.HIGH)
    assert [c.delivery.lane for c in here.dispatcher.taken] == [Lane.HIGH]


async def test_nothing_is_handed_over_past_an_alert_on_the_wire(
    here: Process, stores: Stores
) -> None:
    """As long as a claim would not give it to anybody."""
    alert = await stores.one_claimed(Lane.VERY_HIGH)
    await here.prepare(Lane.BULK)
    assert here.dispatcher.taken == []
    await stores.deliveries.settle(delivered(alert))
    await here.prepare(Lane.BULK)
    assert len(here.dispatcher.taken) == 1


async def test_nothing_is_handed_over_past_an_alert_in_policy(
    here: Process, stores: Stores
) -> None:
    await stores.submissions.accept(a_submission(Lane.HIGH))
    await here.prepare(Lane.NORMAL)
    assert here.dispatcher.taken == []


async def test_a_claim_is_bounded_by_octets(stores: Stores) -> None:
    """But brings one at least, and says that there is more."""
    for _ in range(4):
        await stores.submissions.accept(a_submission(recipients=ONE, body=b"x" * 1000))
    sizes = []
    while (claims := await stores.submissions.claim(10, octets=1500)).submissions:
        sizes.append((len(claims.submissions), claims.more))
        await stores.submissions.prepare([prepared(c) for c in claims.submissions])
    assert sizes == [(2, True), (2, False)]


async def test_a_large_message_is_handed_over_without_its_text(
    here: Process, stores: Stores
) -> None:
    """As a claim brings it: it takes up no memory before there is room to send it."""
    body = b"x" * LARGE_OCTETS
    await here.submissions.accept(a_submission(recipients=ONE, body=body))
    await here.submissions.prepare([prepared(here.policy.taken.pop())])
    (large,) = here.dispatcher.taken

    assert (True, b"", b"") == (large.is_large, large.header, large.body)
    read = await stores.deliveries.read_message(large)
    assert (large.size, body) == (len(read.header) + len(read.body), read.body)
