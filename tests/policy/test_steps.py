"""What the native profile does to a message, step by step."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.steps import (
    STEPS,
    Draft,
    Facts,
    Refusal,
    RefuseLoops,
    add_received,
    complete_date,
    complete_from,
    complete_message_id,
    drop_suppressed,
    take,
)
from posthouse.mail.lane import Lane
from posthouse.mail.message import Header, split
from posthouse.mail.submission import Submission
from posthouse.profiles.native import NATIVE

SUBMISSION = Submission(
    id=UUID("0195ab00-0000-7000-8000-000000000001"),
    account_id=UUID(int=1),
    credential_id=UUID(int=2),
    profile="native",
    lane=Lane.NORMAL,
    sender="news@sender.example",
    recipients=("a@there.example", "b@there.example"),
    smtputf8=False,
    client="8.8.4.4",
    helo="app.sender.example",
    tls="TLSv1.3",
    header=b"From: news@sender.example\r\n\r\n",
    body=b"Hello\r\n",
)
FACTS = Facts(
    submission=SUBMISSION,
    received_at=datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
    hostname="relay.example",
    domain="sender.example",
    suppressed=frozenset(),
)


def draft(header: bytes) -> Draft:
    return Draft(Header.parse(header), SUBMISSION.recipients)


def after(result: Draft | Refusal) -> bytes:
    assert isinstance(result, Draft)
    return bytes(result.header)


def test_a_message_gets_what_it_lacks_and_loses_what_readers_must_not_see() -> None:
    header = (
        b"Bcc: secret@there.example\r\nReturn-Path: <x@y.example>\r\nSubject: Hi\r\n"
        b"X-Posthouse-Lane: 1\r\nFrom: news@sender.example\r\nbcc: more@there.example\r\n\r\n"
    )

    assert after(take(STEPS[NATIVE.name], draft(header), FACTS)) == (
        b"Received: from app.sender.example ([8.8.4.4]) by relay.example with ESMTPSA\r\n"
        b" id 0195ab00000070008000000000000001; Sun, 01 Mar 2026 12:30:00 +0000\r\n"
        b"Subject: Hi\r\n"
        b"From: news@sender.example\r\n"
        b"Date: Sun, 01 Mar 2026 12:30:00 +0000\r\n"
        b"Message-ID: <0195ab00-0000-7000-8000-000000000001@sender.example>\r\n\r\n"
    )


def test_a_complete_message_keeps_every_octet_below_our_trace_field() -> None:
    header = (
        b"From:  News\t<news@sender.example>\r\nDATE: yesterday\r\n"
        b"Message-Id:\r\n <1@sender.example>\r\nX-Odd : \xe9 \r\n\r\n"
    )
    result = after(take(STEPS[NATIVE.name], draft(header), FACTS))

    assert result.startswith(b"Received: ")
    assert result.endswith(b"+0000\r\n" + header)


@pytest.mark.parametrize("step", [complete_date, complete_message_id, complete_from])
def test_an_empty_field_counts_as_missing(step: object) -> None:
    assert callable(step)
    header = b"From: \r\nDate:\r\nMessage-ID: \t\r\n\r\n"
    result = step(draft(header), FACTS)

    assert len(result.header.fields) == 3
    assert sum(1 for field in result.header.fields if field.value) == 1


def test_without_from_the_envelope_sender_stands_in() -> None:
    assert after(complete_from(draft(b"\r\n"), FACTS)) == b"From: <news@sender.example>\r\n\r\n"


def test_without_from_and_envelope_sender_nothing_is_sent() -> None:
    nobody = replace(FACTS, submission=replace(SUBMISSION, sender=""))

    result = complete_from(draft(b"Subject: x\r\n\r\n"), nobody)

    assert isinstance(result, Refusal)
    assert result.reason.startswith("554 5.6.0 ")


def test_suppressed_recipients_are_set_apart_in_their_order() -> None:
    facts = replace(FACTS, suppressed=frozenset({"a@there.example"}))

    result = drop_suppressed(draft(b"\r\n"), facts)

    assert result.recipients == ("b@there.example",)
    assert result.suppressed == ("a@there.example",)


@pytest.mark.parametrize(("hops", "refused"), [(0, False), (50, False), (51, True)])
def test_a_message_that_passed_too_many_servers_is_refused(hops: int, refused: bool) -> None:
    header = b"RECEIVED: by x; now\r\n" * hops + b"\r\n"

    result = RefuseLoops(50)(draft(header), FACTS)

    assert isinstance(result, Refusal) is refused
    if isinstance(result, Refusal):
        assert result.reason == "554 5.4.6 mail loop: 51 Received fields, 50 allowed"


@pytest.mark.parametrize(
    ("helo", "client", "said"),
    [
        ("app.example", "8.8.4.4", "app.example ([8.8.4.4])"),
        ("app.example", "2001:4860::1", "app.example ([IPv6:2001:4860::1])"),
        ("app.example", "10.1.2.3", "app.example"),
        ("app.example", "127.0.0.1", "app.example"),
        ("app.example", "fe80::1", "app.example"),
        ("app.example", "", "app.example"),
        ("[192.0.2.1]", "8.8.4.4", "[192.0.2.1] ([8.8.4.4])"),
        ("", "8.8.4.4", "unknown ([8.8.4.4])"),
        ("x\r\nBcc: y@z.example", "10.1.2.3", "unknown"),
        ("evil) by good (", "10.1.2.3", "unknown"),
        ("ü.example", "10.1.2.3", "unknown"),
    ],
)
def test_the_trace_names_the_client_but_no_private_address(
    helo: str, client: str, said: str
) -> None:
    facts = replace(FACTS, submission=replace(SUBMISSION, helo=helo, client=client))

    value = add_received(draft(b"\r\n"), facts).header.first("Received")

    assert value is not None
    assert value.startswith(f"from {said} by relay.example with ")


@pytest.mark.parametrize(
    ("tls", "smtputf8", "protocol"),
    [
        ("", False, "ESMTPA"),
        ("TLSv1.3", False, "ESMTPSA"),
        ("", True, "UTF8SMTPA"),
        ("TLSv1.3", True, "UTF8SMTPSA"),
    ],
)
def test_the_trace_says_how_the_message_came(tls: str, smtputf8: bool, protocol: str) -> None:
    """RFC 3848 and RFC 6531 name the protocols; credentials are always asked for."""
    facts = replace(FACTS, submission=replace(SUBMISSION, tls=tls, smtputf8=smtputf8))

    value = add_received(draft(b"\r\n"), facts).header.first("Received")

    assert value is not None
    assert f" with {protocol} id " in value


@given(st.binary(max_size=200), st.text(max_size=30), st.text(max_size=30))
def test_the_steps_take_any_message(content: bytes, helo: str, client: str) -> None:
    """They refuse, or they give a header of whole lines with the three fields completed."""
    header, body = split(content)
    submission = replace(SUBMISSION, header=header, body=body, helo=helo, client=client)

    result = take(STEPS[NATIVE.name], draft(header), replace(FACTS, submission=submission))

    if isinstance(result, Draft):
        assert all(result.header.first(name) for name in ("From", "Date", "Message-ID"))
        assert b"\n" not in bytes(result.header).replace(b"\r\n", b"")
