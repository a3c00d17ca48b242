"""What a sender hears follows from what it asked for: RFC 3461 sections 4 to 6."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from bounces.notifier import NoticeLimits
from posthouse.mail.dsn_request import DsnRequest, Notify, RecipientRequest, Return
from posthouse.mail.events import Event, EventKind
from posthouse.mail.submission import Attributes, Delivery
from posthouse.store.deliveries import Settlement
from posthouse.store.queries import QUERIES
from posthouse.store.returns import ReturnStore
from servers.notifying import SENDER, Told, fail, groups, parsed, words
from servers.patience import eventually
from servers.stores import ACCOUNT, Stores, an_attempt, open_stores

ANN = "ann@dest.example"
S, F, D = Notify.SUCCESS, Notify.FAILURE, Notify.DELAY
HEADER = b"Subject: a test\r\nMessage-ID: <1@sender.example>\r\n\r\n"


@pytest_asyncio.fixture
async def told(database: str) -> AsyncIterator[Told]:
    async with open_stores(database) as stores:
        yield Told(stores, [])


async def queue(
    told: Told,
    notify: tuple[Notify, ...] | None,
    *,
    content: Return | None = None,
    envelope_id: str = "",
    original: str = "",
    recipients: tuple[str, ...] = (ANN,),
    **changes: Any,
) -> list[Delivery]:
    """Queue a message whose sender asks this about each of its recipients."""
    asked = RecipientRequest(notify, original)
    dsn = DsnRequest(content, envelope_id, dict.fromkeys(recipients, asked))
    attributes = Attributes(dsn=dsn)
    return await told.stores.queue(
        attributes=attributes, recipients=recipients, header=HEADER, **changes
    )


async def end(stores: Stores, kind: EventKind, dsn: str, wait: timedelta | None = None) -> None:
    """Settle every delivery that is due as a dispatcher does whose event owes *dsn*."""
    for claimed in (await stores.deliveries.claim(100)).deliveries:
        detail = {
            "recipient": claimed.delivery.recipient,
            "host": "mx.dest.example[192.0.2.9]:25",
            "code": 250 if kind is EventKind.DELIVERED else 451,
            "enhanced": "2.0.0" if kind is EventKind.DELIVERED else "4.7.1",
            "reply": "so it is",
            "dsn": dsn,
        }
        await stores.deliveries.settle(Settlement(claimed, kind, wait, an_attempt(), detail))


async def come_back(stores: Stores, delivery: Delivery, kind: EventKind, action: str) -> None:
    """Record a report of a later server about *delivery*."""
    detail = {
        "action": action,
        "status": "2.0.0" if kind is EventKind.CONFIRMED else "4.4.1",
        "diagnostic": "said so",
        "reporting_mta": "mx.later.example",
        "digest": f"{delivery.id} {action}",
    }
    event = Event(kind, ACCOUNT, delivery.submission_id, delivery.id, detail)
    assert await ReturnStore(stores.database).record(event, delivery) == "none"


async def titles(told: Told) -> list[str]:
    """The subjects of all notices so far."""
    return sorted(parsed(c.submission)["Subject"] for c in await told.notices())


@pytest.mark.parametrize(
    ("notify", "is_told"),
    [(None, True), ((F,), True), ((S, F, D), True), ((S, D), False), ((), False)],
)
@pytest.mark.parametrize("kind", [EventKind.BOUNCED, EventKind.EXPIRED])
async def test_a_failure_is_told_unless_the_sender_wants_none(
    told: Told, notify: tuple[Notify, ...] | None, kind: EventKind, *, is_told: bool
) -> None:
    await queue(told, notify)
    await fail(told.stores, kind)
    async with told.notifying():
        await told.settled()
    assert [f"Not delivered: {ANN}"] * is_told == await titles(told)


async def test_a_recipient_that_policy_leaves_out_follows_the_same_rules(told: Told) -> None:
    """It had its 250 as well."""
    for notify in ((), None):
        (delivery,) = await queue(told, notify)
        await told.stores.sql(
            "INSERT INTO events (id, account_id, submission_id, kind, detail)"
            " VALUES (new_id(), $1, $2, 'suppressed', $3)",
            ACCOUNT,
            delivery.submission_id,
            {"recipient": ANN, "list": "bounce"},
        )
    async with told.notifying():
        await told.settled()
    assert [f"Not delivered: {ANN}"] == await titles(told)


async def test_each_recipient_of_a_message_has_its_own(told: Told) -> None:
    asked = {"a@dest.example": RecipientRequest(()), "b@dest.example": RecipientRequest((F,))}
    to = (*asked, "c@dest.example")
    await told.stores.queue(attributes=Attributes(dsn=DsnRequest(recipients=asked)), recipients=to)
    await fail(told.stores)
    async with told.notifying():
        await told.settled()
    (notice,) = await told.notices()
    _, *reported = groups(parsed(notice.submission))
    assert ["rfc822; b@dest.example", "rfc822; c@dest.example"] == [
        group["Final-Recipient"] for group in reported
    ]


async def test_never_silences_no_bounce_address_of_the_account(told: Told) -> None:
    """What the account wants to be told is not for a sender to forbid."""
    await told.stores.sql("UPDATE accounts SET bounce_address = 'bounces@home.example'")
    await queue(told, ())
    await fail(told.stores)
    async with told.notifying():
        await told.settled()
    (notice,) = await told.notices()
    assert ("bounces@home.example",) == notice.submission.recipients


async def test_envelope_id_and_original_recipient_come_back_as_they_were_given(
    told: Told,
) -> None:
    await queue(
        told,
        (F,),
        envelope_id='QQ  31 +=\\ "<>',
        original="rfc822;Ann  +x=y <a>@dest.example",
    )
    await fail(told.stores)
    async with told.notifying():
        await told.settled()
    (notice,) = await told.notices()
    of_message, ann = groups(parsed(notice.submission))
    assert 'QQ  31 +=\\ "<>' == of_message["Original-Envelope-Id"]
    assert "rfc822; Ann  +x=y <a>@dest.example" == ann["Original-Recipient"]
    assert f"rfc822; {ANN}" == ann["Final-Recipient"]


async def test_the_longest_values_fit(told: Told) -> None:
    await queue(told, (F,), envelope_id="e" * 100, original=f"rfc822;{'x' * 493}")
    await fail(told.stores)
    async with told.notifying():
        await told.settled()
    (notice,) = await told.notices()
    of_message, ann = groups(parsed(notice.submission))
    assert "e" * 100 == of_message["Original-Envelope-Id"]
    assert f"rfc822; {'x' * 493}" == ann["Original-Recipient"].strip()


@pytest.mark.parametrize(
    ("content", "octets", "returned"),
    [
        (None, 10, "text/rfc822-headers"),
        (Return.HDRS, 10, "text/rfc822-headers"),
        (Return.FULL, 10, "message/rfc822"),
        (Return.FULL, 300_000, "text/rfc822-headers"),
    ],
)
async def test_the_message_comes_back_as_far_as_the_sender_wants_it(
    told: Told, content: Return | None, octets: int, returned: str
) -> None:
    await queue(told, (F,), content=content, body=b"x" * octets + b"\r\n")
    await fail(told.stores)
    async with told.notifying():
        await told.settled()
    (notice,) = await told.notices()
    message = parsed(notice.submission)
    assert returned == list(message.iter_parts())[2].get_content_type()
    assert (b"x" * octets in notice.submission.body) == (returned == "message/rfc822")


@pytest.mark.parametrize(
    ("kind", "returned"),
    [("mixed", "message/rfc822"), ("signed", "text/rfc822-headers")],
)
async def test_a_report_has_seven_bits_whatever_comes_back_with_it(
    told: Told, kind: str, returned: str
) -> None:
    """A server that takes no 8-bit content would never get it (RFC 6152 section 3)."""
    header = f"Content-Type: multipart/{kind}; boundary=b\r\n".encode() + HEADER
    body = "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße\r\n--b--\r\n".encode()
    asked = DsnRequest(Return.FULL)
    await told.stores.queue(attributes=Attributes(dsn=asked), header=header, body=body)
    await fail(told.stores)
    async with told.notifying():
        await told.settled()
    (notice,) = await told.notices()
    assert (notice.submission.header + notice.submission.body).isascii()
    *_, part = parsed(notice.submission).iter_parts()
    assert (returned, "7bit") == (part.get_content_type(), part["Content-Transfer-Encoding"])
    if returned == "message/rfc822":
        (inside,) = part.get_content().iter_parts()
        assert "Grüße" == inside.get_content().rstrip("\n")


async def test_a_text_that_is_no_longer_kept_is_reported_without(told: Told) -> None:
    await queue(told, (F,), content=Return.FULL)
    await fail(told.stores)
    await told.stores.sql("DELETE FROM contents")
    async with told.notifying():
        await told.settled()
    (notice,) = await told.notices()
    assert 2 == len(list(parsed(notice.submission).iter_parts()))


async def test_success_is_reported_by_us_where_the_next_host_knows_no_dsn(told: Told) -> None:
    """RFC 3461 section 5.2.2; the message itself does not come back with it (section 4.3)."""
    await queue(told, (S,), content=Return.FULL, envelope_id="QQ", original=f"rfc822;{ANN}")
    await end(told.stores, EventKind.DELIVERED, "relayed")
    async with told.notifying():
        await told.has(1)
        await told.settled()
    (notice,) = await told.notices()
    message = parsed(notice.submission)
    assert ("", (SENDER,)) == (notice.submission.sender, notice.submission.recipients)
    assert ("multipart/report", "auto-replied") == (
        message.get_content_type(), message["Auto-Submitted"],
    )  # fmt: skip
    assert f"Relayed: {ANN}" == message["Subject"]
    of_message, ann = groups(message)
    assert "QQ" == of_message["Original-Envelope-Id"]
    assert {
        "Original-Recipient": f"rfc822; {ANN}",
        "Final-Recipient": f"rfc822; {ANN}",
        "Action": "relayed",
        "Status": "2.0.0",
        "Remote-MTA": "dns; mx.dest.example",
        "Diagnostic-Code": "smtp; 250 2.0.0 so it is",
        "Last-Attempt-Date": ann["Last-Attempt-Date"],
    } == ann
    assert "you will hear again only if it fails" in words(message)
    kinds = [part.get_content_type() for part in message.iter_parts()]
    assert ["text/plain", "message/delivery-status", "text/rfc822-headers"] == kinds


@pytest.mark.parametrize("notify", [None, (F,), (F, D), ()])
@pytest.mark.parametrize("owed", ["relayed", "passed on"])
async def test_nobody_hears_of_a_success_who_did_not_ask(
    told: Told, notify: tuple[Notify, ...] | None, owed: str
) -> None:
    (delivery,) = await queue(told, notify)
    await end(told.stores, EventKind.DELIVERED, owed)
    await come_back(told.stores, delivery, EventKind.CONFIRMED, "delivered")
    async with told.notifying():
        await told.settled()
    assert [] == await titles(told)


@pytest.mark.parametrize(
    ("action", "title"),
    [("delivered", "Delivered"), ("relayed", "Relayed"), ("expanded", "Delivered to a list")],
)
async def test_success_that_a_later_server_reports_is_passed_on(
    told: Told, action: str, title: str
) -> None:
    """It comes to our return path, because that is what the next host was given."""
    (delivery,) = await queue(told, (S,))
    await end(told.stores, EventKind.DELIVERED, "passed on")
    await come_back(told.stores, delivery, EventKind.CONFIRMED, action)
    async with told.notifying():
        await told.has(1)
        await told.settled()
    (notice,) = await told.notices()
    message = parsed(notice.submission)
    assert f"{title}: {ANN}" == message["Subject"]
    assert (action, "2.0.0") == (groups(message)[1]["Action"], groups(message)[1]["Status"])
    assert "mx.later.example" in words(message)


@pytest.mark.parametrize(("notify", "is_told"), [((D,), True), ((S, F), False), (None, False)])
async def test_a_delay_is_reported_once_where_it_was_asked_for(
    told: Told, notify: tuple[Notify, ...] | None, *, is_told: bool
) -> None:
    """However often it is tried, and a later server says the same; what ends it is told, too."""
    (delivery,) = await queue(told, (F, *notify) if notify else notify)
    async with told.notifying():
        for _ in range(3):
            await end(told.stores, EventKind.DEFERRED, "delayed", timedelta())
            await told.settled()
        await come_back(told.stores, delivery, EventKind.DELAYED, "delayed")
        await told.settled()
        await fail(told.stores)
        await told.settled()
    assert [f"Delayed: {ANN}"] * is_told + [f"Not delivered: {ANN}"] == await titles(told)


async def test_recipients_with_one_result_share_a_report_and_none_is_told_twice(
    told: Told,
) -> None:
    to = ("a@dest.example", "b@dest.example")
    deliveries = await queue(told, (S,), recipients=to)
    await end(told.stores, EventKind.DELIVERED, "relayed")
    await come_back(told.stores, deliveries[0], EventKind.CONFIRMED, "delivered")
    async with told.notifying():
        await told.settled()
    assert ["Delivered: a@dest.example", "Relayed: a@dest.example and 1 more"] == await titles(told)
    events = (await told.stores.story(deliveries[0].submission_id)).events
    notified = [e["detail"] for e in events if e["kind"] == "notified"]
    assert {("report", "relayed"), ("report", "delivered")} == {
        (detail["means"], detail["action"]) for detail in notified
    }
    assert 3 == len(notified)


async def test_later_reports_about_one_message_come_an_hour_apart(told: Told) -> None:
    """So that no sender can be flooded by recipients that trickle in."""
    to = ("a@dest.example", "b@dest.example")
    await queue(told, (S,), recipients=to)
    first, second = (await told.stores.deliveries.claim(2)).deliveries
    for claimed, count in ((first, 1), (second, 2)):
        detail = {"recipient": claimed.delivery.recipient, "dsn": "relayed"}
        settlement = Settlement(claimed, EventKind.DELIVERED, None, an_attempt(), detail)
        await told.stores.deliveries.settle(settlement)
        async with told.notifying():
            if count == 1:
                await told.settled()
                continue
            await told.has(1)
            await waits(told)
    assert ["Relayed: a@dest.example"] == await titles(told)


async def waits(told: Told) -> None:
    """Until a report is kept for later."""

    async def kept() -> bool:
        wait = "SELECT count(*) = 1 FROM untold_reports WHERE due_at > now() + interval '50 min'"
        return bool(await told.stores.value(wait))

    await eventually(kept, within=10)


@pytest.mark.parametrize(
    ("changes", "statement"),
    [
        ({}, "UPDATE accounts SET dsn = false"),
        ({"sender": ""}, None),
        ({"sender": "b@back.relay.example"}, None),
    ],
    ids=["turned off", "null reverse-path", "our return-path host"],
)
async def test_whoever_hears_of_no_failure_hears_of_no_success(
    told: Told, changes: dict[str, Any], statement: str | None
) -> None:
    if statement:
        await told.stores.sql(statement)
    await queue(told, (S, F, D), **changes)
    await end(told.stores, EventKind.DELIVERED, "relayed")
    async with told.notifying():
        await told.settled()
    assert [] == await titles(told)


async def test_a_report_that_cannot_be_made_holds_up_no_other(told: Told) -> None:
    await queue(told, (S,))
    await end(told.stores, EventKind.DELIVERED, "relayed")
    await told.stores.sql("UPDATE events SET detail = detail || '{\"host\": 5}'")
    await queue(told, (S,), recipients=("b@dest.example",))
    await end(told.stores, EventKind.DELIVERED, "relayed")
    async with told.notifying():
        await told.has(1)
    assert ["Relayed: b@dest.example"] == await titles(told)
    assert [ANN] == [row["recipient"] for row in await told.stores.sql("TABLE untold_reports")]


async def test_after_a_restore_nothing_is_reported_that_was_still_to_be(told: Told) -> None:
    await queue(told, (S,))
    await end(told.stores, EventKind.DELIVERED, "relayed")
    async with told.notifying(NoticeLimits(gather=timedelta(hours=1))):
        await reports_kept(told)
    await told.stores.sql(QUERIES["forget_untold"])
    assert [] == await told.stores.sql("TABLE untold_reports")


async def reports_kept(told: Told) -> None:
    """Until one waits to be told."""

    async def kept() -> bool:
        return bool(await told.stores.value("SELECT count(*) = 1 FROM untold_reports"))

    await eventually(kept, within=10)
