"""What policy puts right in a message, by the knobs of its profile, and what it leaves alone."""

from collections.abc import Mapping
from dataclasses import replace
from email import message_from_bytes, policy
from uuid import UUID

import pytest

from policy.core.draft import Copy, Draft
from policy.core.facts import DomainKeys, Facts, Relay
from policy.core.request import read
from policy.core.steps import run_steps, steps_for
from posthouse.mail.message import split
from posthouse.profiles import resolve
from servers.stores import a_submission

RELAY = Relay("relay.example", DomainKeys("relay.example", None, ()), b"k" * 32, b"i" * 32)
FACTS = Facts(RELAY, {"sender.example": DomainKeys("sender.example", None, ())}, {})
SUBMISSION = a_submission(
    id=UUID("0195ab00-0000-7000-8000-000000000001"), sender="news@sender.example"
)
FROM = b"From: news@sender.example\r\n"
IDENTIFIED = b"Date: 1 Mar 2026 12:30:00 Z\r\nMessage-ID: <1@sender.example>\r\n"
DATE = b"Date: Tue, 18 Mar 2025 20:44:18 +0000\r\n"
MESSAGE_ID = b"Message-ID: <0195ab00-0000-7000-8000-000000000001@sender.example>\r\n"
NOTHING: Mapping[str, str] = {}
LONG = b"word " * 300


def repaired(
    content: bytes, knobs: Mapping[str, str] = NOTHING, *, smtputf8: bool = False
) -> tuple[bytes, bytes | None]:
    """Header below our trace field, and body if it is another."""
    profile = resolve("native", 1, {f"conformance.{knob}": to for knob, to in knobs.items()})
    header, body = split(content)
    submission = replace(SUBMISSION, header=header, body=body, smtputf8=smtputf8)
    result = run_steps(steps_for(profile), Draft.of(read(submission, profile)), FACTS)
    assert isinstance(result, Draft)
    (copy,) = result.copies
    assert isinstance(copy, Copy)
    return b"".join(field.raw for field in copy.header.fields[1:]), copy.body


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (b"Message-ID: 1@x\r\nDate: now\r\n",
         MESSAGE_ID + b"X-Original-Message-ID: 1@x\r\n" + DATE + b"X-Original-Date: now\r\n"),
        (b"MESSAGE-ID : \t<a>\r\n <b> \r\ndate:\r\n\tnow\r\n",
         MESSAGE_ID + b"X-Original-Message-ID: \t<a>\r\n <b> \r\n"
         + DATE + b"X-Original-Date:\r\n\tnow\r\n"),
        (b"Message-ID: \r\nDate:\r\n", MESSAGE_ID + DATE),
        (b"", DATE + MESSAGE_ID),
        (IDENTIFIED, IDENTIFIED),
        (b"Message-ID: <\xfc@x>\r\nDate: 1 Mar 2026 12:30:00 Z\r\n",
         MESSAGE_ID + b"X-Original-Message-ID: <\xfc@x>\r\nDate: 1 Mar 2026 12:30:00 Z\r\n"),
    ],
)  # fmt: skip
def test_X11_what_is_not_valid_is_replaced_and_kept_under_another_name(
    given: bytes, made: bytes
) -> None:
    """RFC 6409 sections 8.2 and 8.3."""
    assert repaired(FROM + given + b"X: 1\r\n\r\nbody") in (
        (FROM + made + b"X: 1\r\n", None),
        (FROM + b"X: 1\r\n" + made, None),
    )
    ignored = {"message_id": "ignore", "date": "ignore"}
    assert repaired(FROM + given + b"X: 1\r\n\r\nbody", ignored)[0] == FROM + given + b"X: 1\r\n"


def test_letters_beyond_ascii_are_valid_with_smtputf8() -> None:
    header = FROM + "Message-ID: <ü@sender.example>\r\nDate: 1 Mar 2026 12:30:00 Z\r\n".encode()
    assert repaired(header + b"\r\n", smtputf8=True)[0] == header
    assert repaired(header + b"\r\n")[0].startswith(FROM + MESSAGE_ID)


def test_X11_copies_of_a_field_count_once_if_the_profile_repairs() -> None:
    twice = FROM + b"Subject: a\r\nX: 1\r\nfrom:\r\n\tnews@sender.example\r\nX: 1\r\nSubject: a\r\n"
    message = twice + IDENTIFIED + b"\r\nbody"
    assert repaired(message)[0] == FROM + b"Subject: a\r\nX: 1\r\nX: 1\r\n" + IDENTIFIED
    assert repaired(message, {"repeated_fields": "ignore"})[0] == twice + IDENTIFIED


def test_C11_a_wrong_subject_is_encoded_again_if_the_profile_repairs() -> None:
    latin = FROM + b"Subject: Gr\xfc\xdfe\r\n" + IDENTIFIED
    right = FROM + b"Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\n" + IDENTIFIED
    assert repaired(latin + b"\r\n", {"subject": "repair"})[0] == right
    assert repaired(latin + b"\r\n")[0] == latin
    utf8 = FROM + "Subject: Grüße\r\n".encode() + IDENTIFIED
    for knob in ("repair", "ignore"):
        assert repaired(utf8 + b"\r\n", {"subject": knob})[0] == right
        assert repaired(utf8 + b"\r\n", {"subject": knob}, smtputf8=True)[0] == utf8
    charset = b"Content-Type: text/plain; charset=koi8-r\r\n"
    russian = FROM + "Subject: Привет\r\n".encode("koi8-r") + charset + IDENTIFIED
    assert b"0J/RgNC40LLQtdGC" in repaired(russian + b"\r\n", {"subject": "repair"})[0]


def test_X11_long_lines_are_written_in_another_way_if_the_profile_repairs() -> None:
    header = FROM + IDENTIFIED + b"X-Long: " + LONG + b"\r\n"
    message = header + b"\r\nshort\r\n" + LONG + b"end\r\n"
    after, body = repaired(message, {"long_lines": "repair"})

    assert after.startswith(FROM + IDENTIFIED + b"X-Long: word word")
    assert after.endswith(b"Content-Transfer-Encoding: quoted-printable\r\nMIME-Version: 1.0\r\n")
    assert body is not None
    assert body.startswith(b"short\r\nword word")
    assert max(map(len, (after + body).split(b"\r\n"))) <= 78
    assert repaired(message) == (header, None)
    assert repaired(FROM + IDENTIFIED + b"\r\nshort", {"long_lines": "repair"})[1] is None


@pytest.mark.parametrize(("to", "is_encoded"), [("repair", True), ("ignore", False)])
def test_X11_octets_above_127_are_encoded_or_left_as_the_profile_says(
    to: str, *, is_encoded: bool
) -> None:
    header = "Subject: Grüße\r\n".encode()
    made, _ = repaired(FROM + IDENTIFIED + header + b"\r\nHello\r\n", {"eight_bit": to})
    assert made.isascii() is is_encoded
    assert "Grüße" == message_from_bytes(made, policy=policy.default)["Subject"]
    assert made.endswith(header) is not is_encoded
