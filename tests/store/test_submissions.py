"""Submissions: committed at the door, claimed by policy, prepared once."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from posthouse.mail.lane import Lane
from posthouse.mail.submission import Submission
from posthouse.mail.terms import Committed
from posthouse.running.identity import earliest_id
from posthouse.store import StoreRefused
from servers.patience import on_this_machine
from servers.stores import Stores, a_submission, fill, open_stores, prepared


async def test_what_was_accepted_is_committed_when_accept_returns(stores: Stores) -> None:
    """Another connection sees content, envelope, event and work at once."""
    submission = a_submission(sender="", recipients=("ann@dest.example",), smtputf8=True)
    await stores.submissions.accept(submission)
    other = await asyncpg.connect(stores.url)
    (row,) = await other.fetch(
        "SELECT s.*, c.header, c.body, e.kind, d.lane AS due_lane, d.due_at <= now() AS due "
        "FROM submissions s JOIN contents c USING (id) JOIN due_submissions d USING (id) "
        "JOIN events e ON e.submission_id = s.id"
    )
    await other.close()
    assert row["kind"] == "accepted"
    assert row["due"]
    assert (row["lane"], row["due_lane"]) == (Lane.NORMAL, Lane.NORMAL)
    assert row["size"] == len(submission.header) + len(submission.body)


async def test_what_is_claimed_is_what_was_accepted(stores: Stores) -> None:
    submission = a_submission(
        recipients=("käthe@dest.example", '"odd ,name"@dest.example', "{brace}@dest.example"),
        header=b"Subject: \xff\x00\r\n\r\n",
        body=bytes(range(256)) * 100,
    )
    await stores.submissions.accept(submission)
    (claimed,) = (await stores.submissions.claim(10)).submissions
    assert submission == claimed.submission
    assert 1 == claimed.claims


@pytest.mark.parametrize("lane", Lane)
async def test_mail_of_lanes_1_and_2_is_known_for_a_second(stores: Stores, lane: Lane) -> None:
    """By the time in its id."""
    past = earliest_id(datetime.now(UTC) - timedelta(seconds=2))
    await stores.submissions.accept(a_submission(Lane.VERY_HIGH, id=past))
    assert not await stores.submissions.has_just_accepted_high()
    # Ahead of now, so that a second is not over before the question, however busy the machine.
    soon = earliest_id(datetime.now(UTC) + timedelta(minutes=1))
    await stores.submissions.accept(a_submission(lane, id=soon))
    assert (lane <= Lane.HIGH) == await stores.submissions.has_just_accepted_high()


async def test_a_claim_that_was_returned_does_not_count(stores: Stores) -> None:
    """It comes due again after the delay, for another worker, as if it had not been claimed."""
    await stores.submissions.accept(a_submission())
    for _ in range(7):
        (claimed,) = (await stores.submissions.claim(1)).submissions
        assert 1 == claimed.claims
        await stores.submissions.return_leases([claimed], timedelta(hours=1))
        assert not (await stores.submissions.claim(1)).submissions
        await stores.sql("UPDATE due_submissions SET due_at = now()")


async def test_only_the_holder_of_a_claim_returns_it(stores: Stores) -> None:
    await stores.submissions.accept(a_submission())
    (first,) = (await stores.submissions.claim(1)).submissions
    await stores.run_out()
    (second,) = (await stores.submissions.claim(1)).submissions

    await stores.submissions.return_leases([first], timedelta())

    assert not (await stores.submissions.claim(1)).submissions
    await stores.submissions.prepare([prepared(second)])
    assert 0 == await stores.value("SELECT count(*) FROM due_submissions")


async def test_many_at_once_share_transactions(stores: Stores) -> None:
    submissions = [a_submission() for _ in range(60)]
    await asyncio.gather(*(stores.submissions.accept(s) for s in submissions))
    commits = await stores.value("SELECT count(DISTINCT xmin::text) FROM due_submissions")
    assert commits <= 3
    assert await stores.value("SELECT count(*) FROM due_submissions") == 60


async def test_high_mail_waits_for_no_batch_of_others(stores: Stores) -> None:
    """The one before it is held up by somebody who writes the same content."""
    bulk, high = a_submission(Lane.BULK), a_submission(Lane.HIGH)
    other = await asyncpg.connect(stores.url)
    await other.execute("BEGIN")
    await other.execute("INSERT INTO contents VALUES ($1, '', '')", bulk.id)
    held_up = asyncio.ensure_future(stores.submissions.accept(bulk))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(on_this_machine(2)):
        await stores.submissions.accept(high)
    assert not held_up.done()
    await other.close()  # which undoes it
    await held_up


@pytest.mark.parametrize(
    "bad",
    [{"helo": "nul\0"}, {"sender": "half a pair \ud800"}, {"client": None}],
    ids=["nul", "surrogate", "nothing"],
)
async def test_one_that_cannot_be_kept_fails_alone(stores: Stores, bad: dict[str, Any]) -> None:
    """It is refused for good; what shared its transaction is committed."""
    good = [a_submission() for _ in range(5)]
    batch = [*good[:3], a_submission(**bad), *good[3:]]
    results = await asyncio.gather(
        *(stores.submissions.accept(s) for s in batch), return_exceptions=True
    )
    assert [type(r) for r in results] == [Committed] * 3 + [StoreRefused] + [Committed] * 2
    rows = await stores.sql("SELECT id FROM submissions ORDER BY id")
    assert [s.id for s in good] == [UUID(str(row["id"])) for row in rows]


async def test_a_client_that_goes_away_takes_no_other_message_along(stores: Stores) -> None:
    tasks = [asyncio.ensure_future(stores.submissions.accept(a_submission())) for _ in range(10)]
    await asyncio.sleep(0)
    tasks[4].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results.count(Committed(is_due=True)) == 9
    assert await stores.value("SELECT count(*) FROM submissions") >= 9


async def test_a_lower_lane_waits_until_nothing_higher_is_due(stores: Stores) -> None:
    submissions = [a_submission(lane) for lane in (Lane.BULK, Lane.HIGH, Lane.NORMAL, Lane.HIGH)]
    for submission in submissions:
        await stores.submissions.accept(submission)
    lanes = [
        [c.submission.lane for c in (await stores.submissions.claim(10)).submissions]
        for _ in range(4)
    ]
    assert lanes == [[Lane.HIGH, Lane.HIGH], [Lane.NORMAL], [Lane.BULK], []]


async def test_a_claim_for_the_express_knows_of_nothing_lower(stores: Stores) -> None:
    for lane in (Lane.NORMAL, Lane.HIGH):
        await stores.submissions.accept(a_submission(lane))
    some = await stores.submissions.claim(10, lowest=Lane.HIGH)
    assert ([Lane.HIGH], False) == ([c.submission.lane for c in some.submissions], some.more)
    assert not (await stores.submissions.claim(10, lowest=Lane.HIGH)).submissions
    assert (await stores.submissions.claim(10)).submissions


async def test_the_oldest_are_claimed_first(stores: Stores) -> None:
    submissions = [a_submission() for _ in range(5)]
    for submission in reversed(submissions):
        await stores.submissions.accept(submission)
    first = [c.submission for c in (await stores.submissions.claim(2)).submissions]
    assert sorted(first, key=_id) == submissions[3:]


def _id(submission: Submission) -> UUID:
    return submission.id


async def test_claimers_side_by_side_claim_each_once(emptied: str) -> None:
    """Eight processes' worth of claimers; none gets what another has."""
    await fill(emptied, 400, Lane.NORMAL)
    seen: Counter[UUID] = Counter()

    async def claim_all() -> None:
        async with open_stores(emptied) as mine:
            empty = 0
            while empty < 3:
                batch = (await mine.submissions.claim(7)).submissions
                empty = 0 if batch else empty + 1
                seen.update(c.submission.id for c in batch)

    await asyncio.gather(*(claim_all() for _ in range(8)))
    assert len(seen) == 400
    assert set(seen.values()) == {1}


async def test_a_lease_that_ran_out_comes_due_again_under_a_new_claim(stores: Stores) -> None:
    await stores.submissions.accept(a_submission())
    (first,) = (await stores.submissions.claim(1)).submissions
    assert not (await stores.submissions.claim(1)).submissions
    await stores.run_out()
    (second,) = (await stores.submissions.claim(1)).submissions
    assert first.submission == second.submission
    assert (1, 2) == (first.claims, second.claims)


async def test_what_was_taken_up_twice_without_a_result_comes_one_at_a_time(
    stores: Stores,
) -> None:
    """With others, or by itself when there are no others; not to a worker that has one already."""
    doubtful = [a_submission() for _ in range(3)]
    for submission in doubtful:
        await stores.submissions.accept(submission)
    for _ in range(2):
        assert len((await stores.submissions.claim(10)).submissions) == 3
        await stores.run_out()
    await stores.submissions.accept(fresh := a_submission())

    first = await stores.submissions.claim(10)
    assert sorted(c.claims for c in first.submissions) == [1, 3]
    assert first.more
    assert fresh in [c.submission for c in first.submissions]
    assert not (await stores.submissions.claim(10, suspects=False)).submissions
    assert [3] == [c.claims for c in (await stores.submissions.claim(10)).submissions]


async def test_preparing_makes_deliveries_due(stores: Stores) -> None:
    """One for each recipient that is not suppressed, in the submission's lane and of its age."""
    await stores.submissions.accept(a_submission(Lane.HIGH))
    (claimed,) = (await stores.submissions.claim(1)).submissions
    made = prepared(claimed, "bob@dest.example")
    await stores.submissions.prepare([made])

    claims = await stores.deliveries.claim(10)
    assert made.deliveries == tuple(c.delivery for c in claims.deliveries)
    assert claims.due == (Lane.HIGH,)
    id_ = claimed.submission.id
    assert await stores.kinds(id_) == ["accepted", "prepared", "suppressed"]
    assert (await stores.story(id_)).events[2]["detail"] == {
        "recipient": "bob@dest.example", "list": "bounce",
    }  # fmt: skip
    assert await stores.value("SELECT count(*) FROM due_submissions") == 0


async def test_preparing_twice_makes_deliveries_once(stores: Stores) -> None:
    await stores.submissions.accept(a_submission())
    (claimed,) = (await stores.submissions.claim(1)).submissions
    await stores.submissions.prepare([prepared(claimed)])
    await stores.submissions.prepare([prepared(claimed)])
    assert await stores.value("SELECT count(*) FROM deliveries") == 2
    assert await stores.kinds(claimed.submission.id) == ["accepted", "prepared"]


async def test_preparing_under_a_lost_claim_changes_nothing(stores: Stores) -> None:
    """A worker that comes back too late makes no second set; the others of its batch count."""
    await stores.submissions.accept(a_submission())
    await stores.submissions.accept(a_submission())
    late, fine = (await stores.submissions.claim(2)).submissions
    await stores.sql(
        "UPDATE due_submissions SET due_at = now() - interval '1 s' WHERE id = $1",
        late.submission.id,
    )
    (again,) = (await stores.submissions.claim(2)).submissions
    await stores.submissions.prepare([prepared(late), prepared(fine)])
    assert await stores.kinds(late.submission.id) == ["accepted"]
    assert await stores.kinds(fine.submission.id) == ["accepted", "prepared"]
    await stores.submissions.prepare([prepared(again)])
    assert await stores.value("SELECT count(*) FROM renditions") == 2
    assert await stores.value("SELECT count(*) FROM due_deliveries") == 4


async def test_a_submission_is_quarantined_with_the_reason(stores: Stores) -> None:
    await stores.submissions.accept(a_submission(Lane.LOW))
    (claimed,) = (await stores.submissions.claim(1)).submissions
    await stores.submissions.quarantine(claimed, "no From field")
    (row,) = await stores.sql("SELECT * FROM quarantined_submissions")
    assert (claimed.submission.id, Lane.LOW, "no From field") == (
        UUID(str(row["id"])), row["lane"], row["reason"],
    )  # fmt: skip
    last = (await stores.story(claimed.submission.id)).events[-1]
    assert ("quarantined", {"reason": "no From field"}) == (last["kind"], last["detail"])
    await stores.run_out()
    assert not (await stores.submissions.claim(1)).submissions


async def test_quarantining_under_a_lost_claim_changes_nothing(stores: Stores) -> None:
    await stores.submissions.accept(a_submission())
    (late,) = (await stores.submissions.claim(1)).submissions
    await stores.run_out()
    (again,) = (await stores.submissions.claim(1)).submissions
    await stores.submissions.quarantine(late, "too late")
    assert await stores.value("SELECT count(*) FROM quarantined_submissions") == 0
    await stores.submissions.prepare([prepared(again)])
    assert await stores.kinds(late.submission.id) == ["accepted", "prepared"]


async def test_a_submission_without_content_does_not_stop_the_others(stores: Stores) -> None:
    """Its partition was dropped: it is quarantined, and others of the claim go on."""
    lost, kept = a_submission(), a_submission()
    await stores.submissions.accept(lost)
    await stores.submissions.accept(kept)
    await stores.sql("DELETE FROM contents WHERE id = $1", lost.id)
    assert [kept] == [c.submission for c in (await stores.submissions.claim(10)).submissions]
    assert await stores.kinds(lost.id) == ["accepted", "quarantined"]
