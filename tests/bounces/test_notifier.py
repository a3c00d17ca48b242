"""Failures are told: once, together, within limits, and never so that it goes in a circle."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from bounces.notifier import NoticeLimits
from posthouse.mail.events import Event, EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.mail_selector import MailOperation
from posthouse.mail.submission import OWN_CREDENTIAL
from posthouse.store.accounts import AccountStore
from posthouse.store.migrate import migrate
from posthouse.store.returns import ReturnStore
from servers.notifying import SENDER, Told, fail, groups, parsed, words
from servers.patience import eventually
from servers.stores import ACCOUNT, a_submission, open_stores, operate, prepared


@pytest_asyncio.fixture
async def told(database: str) -> AsyncIterator[Told]:
    async with open_stores(database) as stores:
        yield Told(stores, [])


async def test_the_sender_hears_of_all_recipients_that_failed_in_one_report(told: Told) -> None:
    """In plain words, in fields for programs, and with the header of the message."""
    header = b"Subject: a test\r\nMessage-ID: <1@sender.example>\r\n\r\n"
    deliveries = await told.stores.queue(header=header)
    await fail(told.stores)
    async with told.notifying():
        await told.has(1)
    (notice,) = [c.submission for c in await told.notices()]
    message = parsed(notice)

    assert ("", (SENDER,), "native", ACCOUNT) == (
        notice.sender, notice.recipients, notice.profile, notice.account_id,
    )  # fmt: skip
    assert "multipart/report" == message.get_content_type()
    assert "delivery-status" == message["Content-Type"].params["report-type"]
    assert SENDER == message["To"]
    assert "Not delivered: ann@dest.example and 1 more" == message["Subject"]
    assert "auto-replied" == message["Auto-Submitted"]
    assert "<1@sender.example>" == message["In-Reply-To"]
    of_message, ann, bob = groups(message)
    assert "dns; relay.example" == of_message["Reporting-MTA"]
    assert "rfc822; bob@dest.example" == bob["Final-Recipient"]
    assert {
        "Final-Recipient": "rfc822; ann@dest.example",
        "Action": "failed",
        "Status": "5.1.1",
        "Remote-MTA": "dns; mx.dest.example",
        "Diagnostic-Code": "smtp; 550 5.1.1 No such user here",
        "Last-Attempt-Date": ann["Last-Attempt-Date"],
    } == ann
    assert "mx.dest.example[192.0.2.9]:25 refused it:" in words(message)
    assert "        550 5.1.1 No such user here" in words(message)
    assert deliveries[0].submission_id.hex in words(message)
    (returned,) = [p for p in message.walk() if p.get_content_type() == "text/rfc822-headers"]
    assert header.decode().split() == returned.get_content().split()
    assert [Lane.NORMAL] == told.lanes
    assert ["notified"] * 2 == (await told.stores.kinds(deliveries[0].submission_id))[-2:]


async def test_the_sender_hears_why_the_operator_bounced_it(told: Told) -> None:
    """Of a delivery, and of a message that policy had not prepared; not who did it."""
    await told.stores.queue(recipients=("ann@dest.example",))
    await told.stores.submissions.accept(a_submission(recipients=("bob@dest.example",)))
    await operate(told.stores.database, MailOperation.BOUNCE, because="Sent by mistake.")
    async with told.notifying():
        await told.has(2)
    for notice in await told.notices():
        _, recipient = groups(parsed(notice.submission))
        assert ("failed", "5.7.1") == (recipient["Action"], recipient["Status"])
        assert "x-unknown; 5.7.1 Sent by mistake." == recipient["Diagnostic-Code"]
        assert "Sent by mistake." in words(parsed(notice.submission))
        assert "root@relay" not in words(parsed(notice.submission))


async def test_failures_within_the_time_to_gather_are_told_together(told: Told) -> None:
    await told.stores.queue()
    async with told.notifying(NoticeLimits(gather=timedelta(seconds=1))):
        await fail(told.stores, count=1)
        await eventually(lambda: told.stores.value("SELECT count(*) FROM untold_failures"))
        assert 0 == await told.count()
        await fail(told.stores)
        await told.has(1)
    (notice,) = await told.notices()
    assert 3 == len(groups(parsed(notice.submission)))


async def test_what_fails_later_is_told_by_itself(told: Told) -> None:
    (ann, _) = await told.stores.queue()
    async with told.notifying():
        await fail(told.stores, count=1)
        await told.has(1)
        await fail(told.stores, EventKind.EXPIRED, code=451, enhanced="4.3.0", reply="Busy")
        await told.has(2)
    statuses = [groups(parsed(n.submission))[1]["Status"] for n in await told.notices()]
    assert ["5.1.1", "4.4.7"] == statuses
    assert ["notified"] * 2 == [
        k for k in await told.stores.kinds(ann.submission_id) if k == "notified"
    ]


async def test_a_suppressed_recipient_is_told_of_too(told: Told) -> None:
    """The client had its 250 for this recipient as well."""
    await told.stores.submissions.accept(a_submission())
    (claimed,) = (await told.stores.submissions.claim(1)).submissions
    await told.stores.submissions.prepare([prepared(claimed, "bob@dest.example")])
    async with told.notifying():
        await told.has(1)
    (notice,) = await told.notices()
    _, bob = groups(parsed(notice.submission))
    assert ("rfc822; bob@dest.example", "5.7.1") == (bob["Final-Recipient"], bob["Status"])
    assert "list of your account" in words(parsed(notice.submission))


async def test_what_a_later_server_reported_is_told_once(told: Told) -> None:
    """Two reports about one delivery, of which the second says more."""
    (ann, _) = await told.stores.queue()
    returns = ReturnStore(told.stores.database)
    detail = {"status": "5.1.1", "diagnostic": "smtp; 550 unknown", "reporting_mta": "later"}
    event = Event(EventKind.BOUNCED, ACCOUNT, ann.submission_id, ann.id, detail)
    async with told.notifying():
        await returns.record(event, ann)
        await told.has(1)
        await told.stores.sql(
            "INSERT INTO events (id, account_id, submission_id, delivery_id, kind)"
            " VALUES (new_id(), $1, $2, $3, 'bounced')",
            *(ACCOUNT, ann.submission_id, ann.id),
        )
        await told.settled()
    (notice,) = await told.notices()
    message = parsed(notice.submission)
    assert "later reported that it failed:" in words(message)
    assert "x-unknown; smtp; 550 unknown" == groups(message)[1]["Diagnostic-Code"]


async def test_the_failure_of_a_report_is_told_to_nobody(told: Told) -> None:
    await told.stores.queue()
    await fail(told.stores)
    async with told.notifying():
        await told.has(1)
        (notice,) = await told.notices()
        await told.stores.submissions.prepare([prepared(notice)])
        await fail(told.stores)
        await told.settled()
    assert 1 == await told.count()
    assert "bounced" in await told.stores.kinds(notice.submission.id)


@pytest.mark.parametrize(
    ("changes", "statement"),
    [
        pytest.param({}, "UPDATE accounts SET dsn = false", id="turned off"),
        pytest.param(
            {"sender": ""},
            "UPDATE accounts SET bounce_address = 'bounces@home.example'",
            id="the null reverse-path of a client",
        ),
        pytest.param({"sender": "b@back.relay.example"}, None, id="our return-path host"),
        pytest.param({"sender": "b@relay.example"}, None, id="our own host"),
        pytest.param(
            {"sender": "b@back.sender.example"},
            "INSERT INTO sending_domains (name, return_path_host)"
            " VALUES ('sender.example', 'back.sender.example')",
            id="a return-path host of a domain",
        ),
        pytest.param(
            {"header": b"Auto-Submitted: Auto-Replied (vacation)\r\n\r\n"}, None, id="auto-reply"
        ),
    ],
)
async def test_nobody_is_told(told: Told, changes: dict[str, Any], statement: str | None) -> None:
    if statement:
        await told.stores.sql(statement)
    await told.stores.queue(**changes)
    await fail(told.stores)
    async with told.notifying():
        await told.settled()
    assert 0 == await told.count()


async def test_an_own_profile_of_the_account_may_turn_it_off(told: Told) -> None:
    await told.stores.sql(
        "INSERT INTO credentials (id, account_id, username, secret_hash)"
        " VALUES ($1, $2, 'app', '')",
        UUID(int=2),
        ACCOUNT,
    )
    await AccountStore(told.stores.database).create_profile(
        ACCOUNT, "quiet", preset="native", preset_revision=1, knobs={"bounces.dsn_to_sender": False}
    )
    await told.stores.queue(profile="quiet")
    await fail(told.stores)
    async with told.notifying():
        await told.settled()
    assert 0 == await told.count()


async def test_failures_of_a_newer_profile_are_left_to_a_newer_program(told: Told) -> None:
    await told.stores.queue(profile="later", recipients=("a@dest.example",))
    await fail(told.stores)

    async def left() -> bool:
        wait = "SELECT count(*) = 1 FROM untold_failures WHERE due_at > now() + interval '30 s'"
        return bool(await told.stores.value(wait))

    async with told.notifying():
        await eventually(left, within=10)
    assert 0 == await told.count()


async def test_a_mistake_of_ours_about_one_message_holds_up_no_other(told: Told) -> None:
    await told.stores.queue(recipients=("a@dest.example",))
    await fail(told.stores, host=5)  # a name, in every event that we write
    await told.stores.queue(recipients=("b@dest.example",))
    await fail(told.stores)
    async with told.notifying():
        await told.has(1)
    (notice,) = await told.notices()
    assert "b@dest.example" in words(parsed(notice.submission))
    left = await told.stores.sql("SELECT recipient FROM untold_failures")
    assert ["a@dest.example"] == [row["recipient"] for row in left]


async def test_what_was_still_to_be_told_when_a_backup_was_made_is_not_told(told: Told) -> None:
    """It may have been told since: a restored database sends nothing by itself."""
    await told.stores.queue()
    await fail(told.stores)
    async with told.notifying(NoticeLimits(gather=timedelta(hours=1))):
        await eventually(lambda: told.stores.value("SELECT count(*) = 2 FROM untold_failures"))
    await told.stores.sql("UPDATE witness SET database = 'another'")
    await migrate(told.stores.url)
    async with told.notifying():
        await told.settled()
        await told.stores.queue(recipients=("new@dest.example",))
        await fail(told.stores)
        await told.has(1)
        await told.settled()
    assert 1 == await told.count()


async def test_a_message_that_a_program_made_is_told_of(told: Told) -> None:
    """Most mail of applications is auto-generated, and no reply to anything."""
    await told.stores.queue(header=b"Auto-Submitted: auto-generated\r\n\r\n")
    await fail(told.stores)
    async with told.notifying():
        await told.has(1)


async def test_above_the_limit_of_an_hour_the_rest_is_one_digest(told: Told) -> None:
    limits = NoticeLimits(gather=timedelta(), per_hour=2)
    others = [await told.stores.queue(recipients=(f"u{n}@dest.example",)) for n in range(6)]
    await told.stores.queue(sender="else@sender.example", recipients=("e@dest.example",))
    await fail(told.stores)
    async with told.notifying(limits, window=timedelta(seconds=1)):
        await told.has(4)
        await told.settled()
    notices = [c.submission for c in await told.notices()]
    assert sorted([SENDER] * 3 + ["else@sender.example"]) == sorted(
        to for n in notices for to in n.recipients
    )
    (digest,) = [m for m in map(parsed, notices) if m.get_content_type() == "multipart/mixed"]
    assert "Not delivered: 4 more recipients" == digest["Subject"]
    assert "auto-generated" == digest["Auto-Submitted"]
    assert 4 == words(digest).count("@dest.example")
    for (delivery,) in others:
        assert 1 == (await told.stores.kinds(delivery.submission_id)).count("notified")


# A detail that none of ours writes, and that no text can be made of.
_UNTELLABLE = {"host": 5}
_REFUSE = "ALTER TABLE submissions ADD CHECK (NOT recipients @> '{bad@sender.example}')"


@pytest.mark.parametrize(
    ("per_hour", "obstacle", "detail"),
    [(0, "", _UNTELLABLE), (0, _REFUSE, {}), (20, _REFUSE, {})],
    ids=["digest not composed", "digest refused", "report refused"],
)
async def test_one_that_cannot_be_told_holds_up_no_other(
    told: Told, per_hour: int, obstacle: str, detail: dict[str, Any]
) -> None:
    """It is counted, and told when it can be."""
    means = "dsn" if per_hour else "digest"
    sample = "posthouse_notices_put_off_total", {"means": means}
    before = REGISTRY.get_sample_value(*sample) or 0.0
    limits = NoticeLimits(gather=timedelta(), per_hour=per_hour)
    if obstacle:
        await told.stores.sql(obstacle)
    for sender, said in (("bad@sender.example", detail), ("good@sender.example", {})):
        await told.stores.queue(sender=sender, recipients=("ann@dest.example",))
        await fail(told.stores, **said)
    if not per_hour:
        await told.stores.sql(
            "INSERT INTO notice_windows SELECT $1, address, now() - interval '59 min 59 s', 1"
            " FROM unnest('{bad@sender.example, good@sender.example}'::text[]) AS address",
            ACCOUNT,
        )
    async with told.notifying(limits):
        await told.has(1)
        (left,) = await told.stores.sql(
            "SELECT address, due_at > now() AS later FROM untold_failures"
        )
        assert ("bad@sender.example", True) == (left["address"], left["later"])
        assert before + 1 == REGISTRY.get_sample_value(*sample)
        await told.stores.sql(
            "ALTER TABLE submissions DROP CONSTRAINT IF EXISTS submissions_recipients_check"
        )
        await told.stores.sql("UPDATE untold_failures SET detail = '{}', due_at = now()")
        await told.settled()
    assert 2 == await told.count()


async def test_two_processes_tell_everything_once(told: Told) -> None:
    for number in range(15):
        await told.stores.queue(recipients=(f"u{number}@dest.example",))
    async with told.notifying(), told.notifying(), told.notifying():
        for _ in range(15):
            await fail(told.stores, count=1)
        await told.has(15)
        await told.settled()
    assert 15 == await told.count()
    assert 15 == len(told.lanes)


async def test_a_process_that_dies_has_told_nothing_twice(told: Told) -> None:
    """Cut off in the middle of everything, again and again, until all is told."""
    deliveries = [await told.stores.queue(recipients=(f"u{n}@dest.example",)) for n in range(15)]
    await fail(told.stores)
    limits = NoticeLimits(gather=timedelta(), per_hour=100)
    for milliseconds in range(1, 60):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(milliseconds / 1000), told.notifying(limits):
                await asyncio.sleep(1)
        if await told.count() == 15:
            break
    async with told.notifying(limits):
        await told.has(15)
        await told.settled()
    assert 15 == await told.count()
    for (delivery,) in deliveries:
        assert 1 == (await told.stores.kinds(delivery.submission_id)).count("notified")


async def test_failures_from_before_this_version_are_not_told(told: Told) -> None:
    """The cursor of a new installation, or of one that was upgraded, begins at its migration."""
    await told.stores.queue()
    await fail(told.stores)
    await told.stores.sql("UPDATE event_cursors SET xid = pg_snapshot_xmin(pg_current_snapshot())")
    async with told.notifying():
        await told.stores.queue(recipients=("new@dest.example",))
        await fail(told.stores)
        await told.has(1)
        await told.settled()
    assert 1 == await told.count()


async def test_a_report_needs_neither_the_text_nor_the_submission_of_the_message(
    told: Told,
) -> None:
    """Both may be past their retention when a notifier was away for long."""
    await told.stores.queue(recipients=("a@dest.example",))
    await told.stores.queue(recipients=("b@dest.example",))
    await fail(told.stores)
    async with told.notifying(NoticeLimits(gather=timedelta(seconds=1))):
        await eventually(lambda: told.stores.value("SELECT count(*) = 2 FROM untold_failures"))
        await told.stores.sql("DELETE FROM contents")
        await told.stores.sql("DELETE FROM submissions WHERE 'b@dest.example' = ANY(recipients)")
        await told.settled()
    rows = await told.stores.sql("SELECT body FROM contents")
    assert [True] == [b"Its text is no longer kept." in row["body"] for row in rows]


async def test_E09_an_account_with_a_bounce_address_gets_the_message_itself(told: Told) -> None:
    await told.stores.sql("UPDATE accounts SET bounce_address = 'b@home.example', dsn = false")
    await told.stores.queue(Lane.BULK, recipients=("a@dest.example",), body=b"Gr\xfc\xdfe\r\n")
    await fail(told.stores)
    async with told.notifying():
        await told.has(1)
        await told.settled()
    (notice,) = [c.submission for c in await told.notices()]
    message = parsed(notice)
    assert (("b@home.example",), Lane.LOW) == (notice.recipients, notice.lane)
    assert b"Subject: a test\r\n\r\nGr\xfc\xdfe\r\n" in notice.body
    (whole,) = [p for p in message.walk() if p.get_content_type() == "message/rfc822"]
    assert "8bit" == whole["Content-Transfer-Encoding"]


async def test_a_sender_with_a_bounce_address_hears_by_both_means(told: Told) -> None:
    await told.stores.sql("UPDATE accounts SET bounce_address = 'b@home.example'")
    await told.stores.queue()
    await fail(told.stores)
    async with told.notifying():
        await told.has(2)
        await told.settled()
    to = [c.submission.recipients for c in await told.notices()]
    assert [("b@home.example",), (SENDER,)] == sorted(to)


async def test_a_failure_that_was_returned_is_forwarded_once(told: Told) -> None:
    """The returned message itself went to the bounce address, when it came."""
    await told.stores.sql("UPDATE accounts SET bounce_address = 'b@home.example'")
    (ann, _) = await told.stores.queue()
    event = Event(EventKind.BOUNCED, ACCOUNT, ann.submission_id, ann.id, {"status": "5.1.1"})
    async with told.notifying():
        forward = a_submission(
            sender="", credential_id=OWN_CREDENTIAL, recipients=("b@home.example",)
        )
        assert await ReturnStore(told.stores.database).record(event, ann, forward=forward)
        await told.has(2)
        await told.settled()
    to = [c.submission.recipients for c in await told.notices()]
    assert [("b@home.example",), (SENDER,)] == sorted(to)
