"""A message that its client submits again in the same octets is accepted once, or told of."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from posthouse.mail.lane import Lane
from posthouse.mail.submission import Submission
from posthouse.mail.terms import (
    AcceptedBefore,
    Committed,
    IdempotencyKey,
    Resubmission,
    Terms,
)
from posthouse.store.accounts import AccountStore
from posthouse.store.credentials import CredentialChange, CredentialStore
from posthouse.store.direct_handoff import DirectHandoff
from posthouse.store.submissions import ClaimedSubmission, SubmissionStore
from servers.patience import eventually
from servers.stores import ACCOUNT, Stores, a_submission

DUE = Committed(is_due=True)
HOUR = timedelta(hours=1)
UNTIL = "SELECT to_jsonb(until) #>> '{}' FROM idempotency_keys"  # as an event has it


def known(mode: Resubmission, key: str = "§one", **changes: Any) -> Submission:
    """A message that is known again by its octets."""
    return a_submission(terms=Terms(key=IdempotencyKey(key, b"", HOUR, mode)), **changes)


async def told(stores: Stores, message: Submission) -> list[dict[str, Any] | None]:
    """What the timeline of *message* says of others like it."""
    events = (await stores.story(message.id)).events
    return [event["detail"] for event in events if event["kind"] == "resubmitted"]


async def test_what_comes_again_is_not_accepted_twice(stores: Stores) -> None:
    first = known(Resubmission.ON)
    assert DUE == await stores.submissions.accept(first)
    assert [] == await told(stores, first)
    for _ in range(2):
        again = await stores.submissions.accept(known(Resubmission.ON))
        assert AcceptedBefore(first.id) == again
    until = await stores.value(UNTIL)
    assert [{"known_until": until}] * 2 == await told(stores, first)
    assert 1 == await stores.value("SELECT count(*) FROM submissions")


async def test_report_only_accepts_it_and_tells(stores: Stores) -> None:
    first, again, third = (known(Resubmission.REPORT_ONLY) for _ in range(3))
    assert DUE == await stores.submissions.accept(first)
    for message in (again, third):
        found = await stores.submissions.accept(message)
        assert Committed(is_due=True, first=first.id) == found
    until = {"known_until": await stores.value(UNTIL)}
    accepted = [{"accepted_as": str(m.id)} | until for m in (again, third)]
    assert accepted == await told(stores, first)
    for message in (again, third):
        assert [{"repeats": str(first.id)} | until] == await told(stores, message)
    assert 3 == await stores.value("SELECT count(*) FROM due_submissions")


async def test_what_is_handed_to_policy_at_once_is_told_of_too(stores: Stores) -> None:
    handoff: DirectHandoff[ClaimedSubmission] = DirectHandoff()
    taken: list[ClaimedSubmission] = []
    handoff.subscribe(taken.extend, room=lambda: 8)
    here = SubmissionStore(stores.database, stores.database, accepted=handoff)
    await here.claim(1)
    first, again = (known(Resubmission.REPORT_ONLY) for _ in range(2))
    assert Committed(is_due=False) == await here.accept(first)
    assert Committed(is_due=False, first=first.id) == await here.accept(again)
    assert AcceptedBefore(first.id) == await here.accept(known(Resubmission.ON))
    assert [first, again] == [claimed.submission for claimed in taken]


async def test_after_the_window_it_is_another_message(stores: Stores) -> None:
    await stores.submissions.accept(known(Resubmission.ON))
    await stores.sql("UPDATE idempotency_keys SET until = until - $1::interval", HOUR)
    second = known(Resubmission.ON)
    assert DUE == await stores.submissions.accept(second)
    again = await stores.submissions.accept(known(Resubmission.ON))
    assert AcceptedBefore(second.id) == again


async def test_of_many_connections_and_processes_at_once_one_is_accepted(
    processes: list[Stores],
) -> None:
    for number in range(10):
        messages = [
            (p, known(Resubmission.ON, f"§{number}", lane=lane))
            for p in processes
            for lane in (Lane.NORMAL, Lane.HIGH, Lane.NORMAL)
        ]
        found = await asyncio.gather(*(p.submissions.accept(s) for p, s in messages))
        (first,) = [s.id for (_, s), one in zip(messages, found, strict=True) if one == DUE]
        assert {DUE, AcceptedBefore(first)} == set(found)
    assert 10 == await processes[0].value("SELECT count(*) FROM due_submissions")


async def test_a_client_that_lost_the_reply_hears_the_first_id(stores: Stores) -> None:
    """It gave up, so that nobody waits for the commit any more, which came all the same."""
    first = known(Resubmission.ON)
    accepting = asyncio.create_task(stores.submissions.accept(first))

    async def committed() -> bool:
        return bool(await stores.value("SELECT count(*) FROM submissions WHERE id = $1", first.id))

    await eventually(committed, look=0)
    accepting.cancel()
    again = await stores.submissions.accept(known(Resubmission.ON))
    assert AcceptedBefore(first.id) == again


async def test_keys_are_kept_no_longer_than_they_count(stores: Stores) -> None:
    await stores.submissions.accept(known(Resubmission.ON, "§old"))
    await stores.sql("UPDATE idempotency_keys SET until = until - $1::interval", HOUR)
    await stores.submissions.accept(known(Resubmission.ON, "§new"))
    await stores.database.run("forget_idempotency_keys", 100)
    kept = await stores.sql("SELECT key, until - at AS counts_for FROM idempotency_keys")
    assert [("§new", HOUR)] == [tuple(row) for row in kept]


async def test_the_key_of_a_client_counts_for_a_day(stores: Stores) -> None:
    await stores.submissions.accept(a_submission(terms=Terms(key=IdempotencyKey("order", b"1"))))
    day = "SELECT until - at = interval '24 hours' FROM idempotency_keys"
    assert await stores.value(day)


@pytest.mark.parametrize("mode", [None, *Resubmission])
async def test_a_credential_says_what_becomes_of_it(
    stores: Stores, mode: Resubmission | None
) -> None:
    accounts = AccountStore(stores.database)
    await stores.sql(
        "INSERT INTO credentials (account_id, username, secret_hash) VALUES ($1, 'app', '')",
        ACCOUNT,
    )
    credentials = CredentialStore(stores.database)
    await credentials.change("app", CredentialChange(resubmission=mode))
    await credentials.change("app", CredentialChange(note="what is not named stays"))
    login = await accounts.login("app")
    assert login is not None
    assert (mode or Resubmission.OFF) is login.resubmission
