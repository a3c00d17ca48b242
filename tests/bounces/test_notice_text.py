"""What notices say, as mail programs and people read it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import pytest

from bounces.core.notices.delivery_report import delivery_report
from bounces.core.notices.notice_text import Frame, digest, forwarded
from bounces.core.notices.telling import host_of, lane_of
from posthouse.mail.due_results import Digest, DueResults, Means, UntoldResult
from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.message import has_bare_line_end

FRAME = Frame(UUID(int=5), "sender.example", "relay.example")
AT = datetime(2026, 3, 4, 5, 6, 7, 890, tzinfo=UTC)


def failure(recipient: str = "ann@dest.example", **detail: Any) -> UntoldResult:
    said = {"code": 550, "enhanced": "5.1.1", "reply": "No such user", "host": "mx[192.0.2.1]:25"}
    return UntoldResult(recipient, EventKind.BOUNCED, AT, {**said, **detail})


def due(*failures: UntoldResult, **changes: Any) -> DueResults:
    made = DueResults(
        submission_id=UUID(int=7),
        account_id=UUID(int=1),
        means=Means.DSN,
        address="jo@sender.example",
        results=failures or (failure(),),
        accepted_at=AT,
        sender="jo@sender.example",
        lane=Lane.NORMAL,
        credential_id=UUID(int=2),
        profile="native",
        profile_revision=1,
        header=b"Subject: Hello\r\n\r\n",
        body=None,
    )
    return replace(made, **changes)


def read(message: tuple[bytes, bytes]) -> EmailMessage:
    """As a mail program does; nothing in it may stop it from being sent anywhere."""
    content = b"".join(message)
    assert not has_bare_line_end(content)
    assert max(map(len, content.split(b"\r\n"))) <= 998
    parsed = message_from_bytes(content, policy=policy.default)
    assert [] == [defect for part in parsed.walk() for defect in part.defects]
    return parsed


def part(message: EmailMessage, kind: str) -> Any:
    return next(p for p in message.walk() if p.get_content_type() == kind)


def fields(message: EmailMessage) -> list[dict[str, str]]:
    return [dict(group.items()) for group in part(message, "message/delivery-status").iter_parts()]


def test_a_report_of_plain_text_is_plain_text() -> None:
    header, body = delivery_report(due(), FRAME)
    assert (header + body).isascii()
    assert b"quoted-printable" not in body


def test_every_recipient_has_fields_of_its_own_and_a_hundred_have_words() -> None:
    told = due(*(failure(f"u{n}@dest.example") for n in range(1000)))
    message = read(delivery_report(told, FRAME))
    assert 1001 == len(fields(message))
    words = part(message, "text/plain").get_content()
    assert 100 == words.count("@dest.example")
    assert "and 900 more, which the delivery report below names." in words


def test_addresses_and_words_beyond_ascii_are_readable_by_people_and_safe_for_programs() -> None:
    """RFC 6533 section 3: an address in a report is written in ASCII."""
    told = due(failure("jürgen+x@dest.example", reply="Das gibt's nicht: größer"))
    message = read(delivery_report(told, FRAME))
    words = part(message, "text/plain").get_content()
    assert "jürgen+x@dest.example" in words
    assert "größer" in words
    (_, group) = fields(message)
    assert r"utf-8; j\x{FC}rgen\x{2B}x@dest.example" == group["Final-Recipient"]
    assert group["Diagnostic-Code"].isascii()


def test_what_a_server_said_cannot_forge_a_line_of_the_report() -> None:
    said = "no\r\n\r\nFinal-Recipient: rfc822; other@dest.example\nAction: delivered \x1b[2J"
    message = read(delivery_report(due(failure(reply=said)), FRAME))
    (_, group) = fields(message)
    assert "rfc822; ann@dest.example" == group["Final-Recipient"]
    assert "failed" == group["Action"]
    lines = part(message, "text/plain").get_content().splitlines()
    assert "        Action: delivered ?[2J" in lines


def test_a_reply_of_any_length_is_cut() -> None:
    message = read(delivery_report(due(failure(reply="x" * 70_000)), FRAME))
    assert len(part(message, "text/plain").get_content()) < 2_000


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("Subject: Grüße\r\n\r\n".encode(), id="UTF-8"),
        pytest.param(b"Subject: Gr\xfc\xdfe\r\n\r\n", id="Latin-1"),
        pytest.param(b"Subject: " + b"x" * 2000 + b"\r\n\r\n", id="a long line"),
    ],
)
def test_a_header_that_not_every_server_takes_is_encoded(header: bytes) -> None:
    message = read(delivery_report(due(header=header), FRAME))
    returned = part(message, "text/rfc822-headers")
    assert "quoted-printable" == returned["Content-Transfer-Encoding"]
    assert header.split() == returned.get_payload(decode=True).split()


def test_only_a_message_id_that_is_one_is_referred_to() -> None:
    for header in (b"Message-ID: <a b@c>\r\n\r\n", b"Message-ID: none\r\n\r\n", b"\r\n"):
        assert read(delivery_report(due(header=header), FRAME))["References"] is None


@pytest.mark.parametrize(
    ("kind", "detail", "status"),
    [
        (EventKind.BOUNCED, {"enhanced": "5.7.26"}, "5.7.26"),
        (EventKind.BOUNCED, {"enhanced": None}, "5.0.0"),
        (EventKind.BOUNCED, {"enhanced": None, "status": "5.2.1"}, "5.2.1"),
        (EventKind.BOUNCED, {"enhanced": "2.0.0"}, "5.0.0"),
        (EventKind.EXPIRED, {"enhanced": "4.3.2"}, "4.4.7"),
        (EventKind.SUPPRESSED, {}, "5.7.1"),
    ],
)
def test_the_status_says_what_kind_of_failure_it_was(
    kind: EventKind, detail: dict[str, Any], status: str
) -> None:
    told = due(replace(failure(**detail), kind=kind))
    assert status == fields(read(delivery_report(told, FRAME)))[1]["Status"]


def test_a_suppressed_recipient_is_told_with_its_list_and_the_reason() -> None:
    detail = {"list": "complaint", "reason": "said \x1b[2J so"}
    told = due(UntoldResult("ann@dest.example", EventKind.SUPPRESSED, AT, detail))
    message = read(delivery_report(told, FRAME))
    assert (
        r"It is on the complaint list of your account (said \x{1B}[2J so),"
        in part(message, "text/plain").get_content()
    )
    (_, group) = fields(message)
    assert {"Final-Recipient", "Action", "Status"} == set(group)


def test_forwarded_mail_is_whole_whatever_is_in_it() -> None:
    told = due(means=Means.FORWARD, body=b"\xff\xfe" * 700 + b"\r\n--=_\r\n.\r\n")
    message = read(delivery_report(told, FRAME))
    assert "8bit" == part(message, "message/rfc822")["Content-Transfer-Encoding"]
    assert "Hello" == part(message, "message/rfc822").get_content()["Subject"]


def test_a_subject_of_a_stranger_adds_no_field() -> None:
    message = read(forwarded(b"\r\n", "op@home.example", "a\r\nBcc: x@y\x00é", ("why",), FRAME))
    assert (None, r"a Bcc: x@y\x{0}\x{E9}") == (message["Bcc"], message["Subject"])


def test_a_digest_names_the_first_and_counts_the_rest() -> None:
    failures = tuple((UUID(int=n), failure(f"u{n}@dest.example")) for n in range(3))
    message = read(digest(Digest(UUID(int=1), "jo@sender.example", 40, failures), FRAME))
    words = part(message, "text/plain").get_content()
    assert "Not delivered: 40 more recipients" == message["Subject"]
    assert [1, 1, 1] == [words.count(f"u{n}@dest.example") for n in range(3)]
    assert "and 37 more: see the timelines of the messages." in words


def test_dates_are_those_of_mail() -> None:
    east = AT.astimezone(timezone(timedelta(hours=2)))
    (_, group) = fields(read(delivery_report(due(replace(failure(), at=east)), FRAME)))
    assert "Wed, 04 Mar 2026 07:06:07 +0200" == group["Last-Attempt-Date"]


@pytest.mark.parametrize(
    ("lane", "expected"),
    [(Lane.VERY_HIGH, Lane.NORMAL), (Lane.NORMAL, Lane.NORMAL), (Lane.BULK, Lane.LOW)],
)
def test_a_notice_comes_before_no_other_mail(lane: Lane, expected: Lane) -> None:
    assert expected is lane_of(due(lane=lane))


def test_the_host_of_an_address_is_that_of_dns() -> None:
    assert ["xn--mller-kva.example", ""] == [host_of("a@Müller.example"), host_of("nobody")]
