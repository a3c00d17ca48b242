"""What comes back or comes to the operator is sent on: whole, once, and never in a circle."""

from collections.abc import AsyncIterator
from datetime import date
from email import message_from_bytes, policy
from email.message import MIMEPart

import pytest
import pytest_asyncio

from bounces.core.notices.notice_text import forwarded
from bounces.forwarding import MailOnward, OperatorAddress
from bounces.message_text import MOST_OCTETS_KEPT
from bounces.own_addresses import RoleAddress
from bounces.relay_identity import RelayIdentity
from bounces.service import ReturnedMail
from posthouse.mail.due_results import OPERATOR
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Delivery, Submission
from posthouse.store.kept_mail import KEPT_OCTETS, OperatorMailStore
from posthouse.store.returns import ReturnStore
from servers.returned_mail import REPORTS, service_of
from servers.stores import Stores, open_stores

REPORT = {path.stem: path.read_bytes().replace(b"\n", b"\r\n") for path in REPORTS}["forwarded"]
LETTER = b"Subject: spam from you\r\n\r\nPlease stop.\r\n"
BOUNCE_ADDRESS = "bounces@home.example"


@pytest_asyncio.fixture
async def stores(database: str) -> AsyncIterator[Stores]:
    async with open_stores(database) as opened:
        await opened.sql("UPDATE accounts SET bounce_address = $1", BOUNCE_ADDRESS)
        yield opened


def relay(stores: Stores) -> RelayIdentity:
    return RelayIdentity(stores.database, hostname="relay.example", return_path_host=None)


async def ours(stores: Stores) -> list[Submission]:
    """The messages of our own that are due."""
    found: list[Submission] = []
    while claimed := (await stores.submissions.claim(10)).submissions:
        found += [c.submission for c in claimed if not c.submission.sender]
    return found


def parts(notice: Submission) -> list[MIMEPart]:
    message = message_from_bytes(notice.header + notice.body, policy=policy.default)
    assert "auto-generated" == message["Auto-Submitted"]
    return list(message.iter_parts())


# Returned mail.


def onward(
    stores: Stores, lanes: list[Lane], *, address: str | None = "op@home.example", per_hour: int = 2
) -> MailOnward:
    return MailOnward(
        ReturnStore(stores.database),
        OperatorMailStore(stores.database),
        relay(stores),
        OperatorAddress(address, per_hour),
        lanes.append,
    )


async def bring_back(stores: Stores, delivery: Delivery, content: bytes = REPORT) -> list[Lane]:
    """The bounces service takes *content* for *delivery*; the hints that it gave."""
    lanes = list[Lane]()
    returns, today = ReturnStore(stores.database), date(2026, 3, 3)
    _, bounces = service_of(returns, (b"k" * 32,), today, onward=onward(stores, lanes))
    await bounces.take(delivery, ReturnedMail(content, "", "192.0.2.1"))
    return lanes


async def test_E09_X12_returned_mail_goes_to_the_bounce_address(
    stores: Stores,
) -> None:
    (ann, _) = await stores.queue()
    assert [Lane.LOW] == await bring_back(stores, ann)
    (notice,) = await ours(stores)
    assert ("", (BOUNCE_ADDRESS,), ann.account_id) == (
        notice.sender, notice.recipients, notice.account_id,
    )  # fmt: skip
    words, whole = parts(notice)
    assert ann.recipient in words.get_content()
    assert REPORT in notice.body
    assert "message/rfc822" == whole.get_content_type()
    assert ["bounced", "notified"] == (await stores.kinds(ann.submission_id))[-2:]


async def test_a_report_that_comes_again_is_not_sent_on_again(stores: Stores) -> None:
    (ann, _) = await stores.queue()
    assert [Lane.LOW] == await bring_back(stores, ann)
    assert [] == await bring_back(stores, ann)
    assert 1 == len(await ours(stores))


async def test_text_that_must_not_leave_is_made_fit_to(stores: Stores) -> None:
    """Bare line ends, NUL, and lines of any length, from the oldest mail servers there are."""
    (ann, _) = await stores.queue()
    await bring_back(stores, ann, REPORT + b"a\nb\rc\0d\r\n" + b"x" * 3000 + b"\r\n")
    (notice,) = await ours(stores)
    lines = notice.body.split(b"\r\n")
    assert [b"a", b"b", b"cd"] == lines[lines.index(b"a") :][:3]
    assert 998 == max(map(len, lines))
    assert not any(octet in line for line in lines for octet in (b"\r", b"\n", b"\0"))


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("UPDATE accounts SET bounce_address = NULL", id="none is set"),
        pytest.param("UPDATE accounts SET bounce_address = 'b@relay.example'", id="our own host"),
        pytest.param("UPDATE submissions SET sender = ''", id="a message of ours came back"),
    ],
)
async def test_returned_mail_is_sent_to_nobody(stores: Stores, statement: str) -> None:
    (ann, _) = await stores.queue()
    await stores.sql(statement)
    assert [] == await bring_back(stores, ann)
    assert "bounced" in await stores.kinds(ann.submission_id)


async def test_what_we_forwarded_is_not_forwarded_when_it_comes_back(stores: Stores) -> None:
    (ann, _) = await stores.queue()
    frame = relay(stores).own_frame()
    header, body = forwarded(b"\r\n", BOUNCE_ADDRESS, "Returned mail", (), frame)
    assert [] == await bring_back(stores, ann, header + body)


# Mail for the operator.


async def give(mail: MailOnward, content: bytes = LETTER) -> None:
    """To a role address of ours, with the whole service before it."""
    _, bounces = service_of(None, (b"k" * 32,), date(2026, 3, 3), onward=mail)
    came = ReturnedMail(content, "jo@else.example", "192.0.2.7")
    await bounces.take(RoleAddress("abuse@relay.example"), came)


async def kept(stores: Stores) -> list[str]:
    """Why each message was kept, the newest first."""
    return [mail.reason for mail in await OperatorMailStore(stores.database).newest(100)]


async def test_a_message_to_abuse_goes_to_the_operator(stores: Stores) -> None:
    lanes = list[Lane]()
    await give(onward(stores, lanes))
    (notice,) = await ours(stores)
    assert ("", ("op@home.example",), OPERATOR) == (
        notice.sender, notice.recipients, notice.account_id,
    )  # fmt: skip
    words, _ = parts(notice)
    assert {"abuse@relay.example,", "jo@else.example,"} <= set(words.get_content().split())
    assert LETTER in notice.body
    assert ([Lane.NORMAL], []) == (lanes, await kept(stores))


async def test_the_operator_hears_that_a_long_message_was_cut(stores: Stores) -> None:
    mail = onward(stores, list[Lane]())
    start = LETTER.ljust(MOST_OCTETS_KEPT, b"x")
    for content in (start[:-1], start):
        await give(mail, content)
    whole, cut = [parts(notice)[0].get_content() for notice in await ours(stores)]
    assert ("octets were kept" in whole, "octets were kept" in cut) == (False, True)


async def test_above_the_limit_of_an_hour_it_is_kept(stores: Stores) -> None:
    lanes = list[Lane]()
    mail = onward(stores, lanes)
    for _ in range(4):
        await give(mail)
    assert 2 == len(await ours(stores))
    assert ["hourly_limit"] * 2 == await kept(stores)
    await stores.sql("UPDATE notice_windows SET began_at = began_at - interval '1 hour'")
    await give(mail)
    assert 3 == len(lanes)


async def test_without_an_address_the_start_of_it_is_kept(stores: Stores) -> None:
    long = LETTER + b"x" * KEPT_OCTETS
    await give(onward(stores, [], address=None), long)
    (mail,) = await OperatorMailStore(stores.database).newest(100)
    assert ("abuse@relay.example", "jo@else.example", "192.0.2.7", "no_address") == (
        mail.recipient, mail.sender, mail.client, mail.reason,
    )  # fmt: skip
    assert (long[:KEPT_OCTETS], len(long)) == (mail.content, mail.size)
    assert [] == await ours(stores)


async def test_nothing_is_forwarded_to_ourselves(stores: Stores) -> None:
    await give(onward(stores, [], address="op@relay.example"))
    await stores.sql(
        "INSERT INTO sending_domains (name, return_path_host) VALUES ('d.example', 'b.d.example')"
    )
    await give(onward(stores, [], address="op@b.d.example"))
    assert ([], ["own_host"] * 2) == (await ours(stores), await kept(stores))


async def test_an_address_that_sends_everything_back_to_us_makes_no_loop(stores: Stores) -> None:
    lanes = list[Lane]()
    mail = onward(stores, lanes)
    await give(mail)
    (notice,) = await ours(stores)
    await give(mail, b"Received: from home.example\r\n" + notice.header + notice.body)
    assert ([Lane.NORMAL], ["loop"]) == (lanes, await kept(stores))


async def test_only_the_newest_thousand_are_kept(stores: Stores) -> None:
    """Strangers can send as many as they like."""
    await stores.sql(
        "INSERT INTO operator_mail SELECT new_id(), now() - interval '1 day', '', '', '', 1, '', ''"
        " FROM generate_series(1, 1200)"
    )
    await give(onward(stores, [], address=None))
    assert 1000 == await stores.value("SELECT count(*) FROM operator_mail")
    assert ["no_address"] == (await kept(stores))[:1]
