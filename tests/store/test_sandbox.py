"""What is kept of the sandbox domain's mail, and whose addresses are confirmed."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
import pytest_asyncio

from posthouse.mail.address import Address
from posthouse.mail.sandboxed_copy import SandboxedCopy
from posthouse.mail.submission import Attributes, Rendition
from posthouse.running.identity import new_id
from posthouse.store.confirmations import MOST_TRIES, ConfirmationStore, Confirmed, new_code
from posthouse.store.sandbox import SandboxStore
from posthouse.store.submissions import ClaimedSubmission, Prepared
from servers.stores import ACCOUNT, Stores, a_submission

ANN = Address.parse("ann@dest.example")


def kept(claimed: ClaimedSubmission) -> Prepared:
    """A message that policy keeps, and delivers to none of its two recipients."""
    submission = claimed.submission
    rendition = Rendition(new_id(), submission.id, b"DKIM-Signature: yes\r\n" + submission.header)
    copy = SandboxedCopy(rendition.id, submission.recipients, ())
    return Prepared(claimed, (rendition,), (), (), {}, (copy,))


@pytest_asyncio.fixture
async def claimed(stores: Stores) -> ClaimedSubmission:
    """A message from the sandbox domain that policy has."""
    await stores.submissions.accept(a_submission(attributes=Attributes(sandboxed=True)))
    (one,) = (await stores.submissions.claim(1)).submissions
    assert one.submission.attributes.sandboxed
    return one


async def test_it_is_kept_as_recipients_would_have_got_it(
    stores: Stores, claimed: ClaimedSubmission
) -> None:
    submission = claimed.submission
    assert not await stores.submissions.prepare([kept(claimed)])
    sandbox = SandboxStore(stores.database)
    (found,) = await sandbox.newest(10, ACCOUNT)
    assert (submission.id, "shop", submission.recipients) == (
        found.id,
        found.account,
        found.recipients,
    )
    content = b"DKIM-Signature: yes\r\nSubject: a test\r\n\r\nHello.\r\n"
    assert ([content], len(content)) == (await sandbox.copies(submission.id), found.size)
    assert ["accepted", "prepared", "sandboxed"] == await stores.kinds(submission.id)
    assert not (await stores.deliveries.claim(9)).deliveries
    assert 0 == await stores.value("SELECT count(*) FROM due_submissions")


async def test_under_a_claim_that_was_lost_nothing_is_kept(
    stores: Stores, claimed: ClaimedSubmission
) -> None:
    await stores.run_out()
    (again,) = (await stores.submissions.claim(1)).submissions
    await stores.submissions.prepare([kept(claimed)])
    assert [] == await SandboxStore(stores.database).newest(10)
    await stores.submissions.prepare([kept(again)])
    assert 1 == len(await SandboxStore(stores.database).newest(10))


async def test_it_is_deleted_after_seven_days(stores: Stores, claimed: ClaimedSubmission) -> None:
    await stores.submissions.prepare([kept(claimed)])
    sandbox = SandboxStore(stores.database)
    await stores.sql("UPDATE sandbox_messages SET kept_at = kept_at - interval '6 days 23 hours'")
    await sandbox.sweep()
    assert 1 == len(await sandbox.newest(10))
    await stores.sql("UPDATE sandbox_messages SET kept_at = kept_at - interval '2 hours'")
    await sandbox.sweep()
    assert [] == await sandbox.newest(10)


# Confirmed addresses.


async def test_who_tells_the_code_confirms_the_address(stores: Stores) -> None:
    confirmations = ConfirmationStore(stores.database)
    code, notice, asked = new_code(), a_submission(), {(ACCOUNT, "Ann@DEST.example")}
    assert await confirmations.ask(ACCOUNT, ANN, code, notice)
    assert 1 == len((await stores.submissions.claim(9)).submissions)
    assert set() == await confirmations.confirmed(asked)
    assert Confirmed.WRONG is await confirmations.confirm(ACCOUNT, ANN, new_code())
    assert Confirmed.YES is await confirmations.confirm(ACCOUNT, ANN, f" {code.upper()} ")
    assert asked == await confirmations.confirmed(asked)
    assert set() == await confirmations.confirmed({(UUID(int=9), "ann@dest.example")})
    (one,) = await confirmations.of_account(ACCOUNT)
    assert one.confirmed_at is not None
    assert await confirmations.remove(ACCOUNT, ANN)
    assert set() == await confirmations.confirmed(asked)


async def test_an_address_gets_one_code_in_ten_minutes(stores: Stores) -> None:
    confirmations = ConfirmationStore(stores.database)
    asked = await asyncio.gather(
        *(confirmations.ask(ACCOUNT, ANN, new_code(), a_submission()) for _ in range(5))
    )
    assert [False] * 4 + [True] == sorted(asked)
    assert 1 == len((await stores.submissions.claim(9)).submissions)
    await stores.sql("UPDATE confirmed_addresses SET asked_at = asked_at - interval '11 minutes'")
    assert await confirmations.ask(ACCOUNT, ANN, new_code(), a_submission())


@pytest.mark.parametrize("why", ["late", "guessed"])
async def test_a_code_counts_for_a_day_and_a_few_tries(stores: Stores, why: str) -> None:
    confirmations, code = ConfirmationStore(stores.database), new_code()
    await confirmations.ask(ACCOUNT, ANN, code, a_submission())
    if why == "late":
        day = timedelta(hours=24)
        await stores.sql("UPDATE confirmed_addresses SET asked_at = asked_at - $1::interval", day)
    else:
        for _ in range(MOST_TRIES):
            assert Confirmed.WRONG is await confirmations.confirm(ACCOUNT, ANN, new_code())
    assert Confirmed.NO_CODE is await confirmations.confirm(ACCOUNT, ANN, code)
