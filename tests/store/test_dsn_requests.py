"""What a sender asks about reports (RFC 3461): kept with the text, and given to dispatchers."""

from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from posthouse.mail.dsn_request import DsnRequest, Notify, RecipientRequest, Return
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Attributes
from posthouse.store.deliveries import LARGE_OCTETS, ClaimedDelivery
from posthouse.store.direct_handoff import DirectHandoff
from posthouse.store.queries import parse
from posthouse.store.submissions import SubmissionStore
from servers.stores import Stores, a_submission, deferred, prepared

ASKED = DsnRequest(
    Return.FULL,
    "QQ 314159",
    {"ann@dest.example": RecipientRequest((Notify.SUCCESS,), "rfc822;Ann@dest.example")},
)
ASKS = Attributes(dsn=ASKED)
BEFORE = parse((Path(__file__).parent / "statements_0003.sql").read_text("utf-8"))
LEASE = timedelta(seconds=20)


@pytest.mark.parametrize("body", [b"small", b"x" * LARGE_OCTETS])
async def test_every_delivery_of_a_message_comes_with_it_whatever_its_size(
    stores: Stores, body: bytes
) -> None:
    """Claimed from a lane, after a try, or parked: each recipient looks up its own."""
    await stores.queue(attributes=ASKS, body=body)
    await stores.queue(body=body)
    claimed = (await stores.deliveries.claim(10)).deliveries
    assert [ASKED, ASKED, None, None] == [c.dsn for c in claimed]
    await stores.deliveries.settle(deferred(claimed[1]))
    assert [ASKED] == [c.dsn for c in (await stores.deliveries.claim(10)).deliveries]
    await stores.deliveries.park([(c, "dest.example") for c in claimed])
    parked = await stores.deliveries.claim_parked("dest.example", 10)
    assert [ASKED, None, None] == [c.dsn for c in parked]
    assert ASKED == (await stores.deliveries.read_message(parked[0])).dsn


async def test_policy_reads_it_too_and_the_history_keeps_it(stores: Stores) -> None:
    submission = a_submission(attributes=ASKS)
    await stores.submissions.accept(submission)
    (claimed,) = (await stores.submissions.claim(1)).submissions
    assert ASKED == claimed.submission.attributes.dsn
    story = await stores.story(submission.id)
    assert ASKED == Attributes.from_json(story.submission["attributes"]).dsn


async def test_nothing_is_stored_of_mail_that_asks_for_nothing(stores: Stores) -> None:
    await stores.queue()
    assert [(None, None)] == [
        tuple(row)
        for row in await stores.sql(
            "SELECT s.attributes, c.dsn FROM submissions s JOIN contents c USING (id)"
        )
    ]


async def test_it_is_handed_over_with_the_delivery(stores: Stores) -> None:
    taken: list[ClaimedDelivery] = []
    handoff = DirectHandoff[ClaimedDelivery]()
    handoff.subscribe(taken.extend, room=lambda: 10)
    handoff.claim_ends(handoff.claim_begins(), more=False)
    here = SubmissionStore(stores.database, stores.database, prepared=handoff)
    await here.accept(a_submission(attributes=ASKS))
    (claimed,) = (await here.claim(1)).submissions
    await here.prepare([prepared(claimed)])
    assert [ASKED, ASKED] == [c.dsn for c in taken]


async def test_a_policy_of_the_version_before_loses_nothing_of_it(stores: Stores) -> None:
    """It knows no such parameters: the text carries them past it."""
    submission = a_submission(Lane.HIGH, attributes=ASKS, recipients=("ann@dest.example",))
    await stores.submissions.accept(submission)
    before = await asyncpg.connect(stores.url)
    try:
        claim = (1, LEASE, 1000, True, 5)
        rows = await before.fetch(BEFORE["claim_submissions"], *claim)
        assert [submission.id] == [row["id"] for row in rows]
        delivery = (submission.id,) * 3
        await before.fetch(
            BEFORE["prepare_submissions"],
            [(submission.id, 1)],
            [(submission.id, submission.id, b"Subject: a\r\n\r\n", None)],
            [(*delivery, "ann@dest.example", "to", "r@x", "", 1, False)],
            [],
            LEASE,
            LEASE,
        )
    finally:
        await before.close()
    (claimed,) = (await stores.deliveries.claim(1)).deliveries
    assert ASKED == claimed.dsn
