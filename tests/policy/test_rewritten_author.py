"""From becomes the envelope sender under the name that it came with (RULES M08, M09)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.draft import Draft
from policy.core.facts import DomainKeys, Facts, Relay
from policy.core.request import read
from policy.core.rewritten_author import rewrite_from_envelope
from posthouse.mail.address import Address
from posthouse.mail.mailbox import mailboxes
from posthouse.mail.message import Header
from posthouse.mail.submission import Submission
from posthouse.profiles import resolve
from servers.stores import a_submission

FACTS = Facts(Relay("r.example", DomainKeys("r.example", None, ()), b"k" * 32, b"i" * 32), {}, {})
SENDER = "outgoing@oxfordstones.com"
PROFILE = resolve("maxemail")


def rewritten(from_: bytes, sender: str = SENDER, *, smtputf8: bool = False) -> Header:
    """The header of the one copy."""
    header = b"Subject: x\r\nFrom: " + from_ + b"\r\nTo: a@x.example\r\n\r\n"
    message: Submission = replace(
        a_submission(sender=sender, header=header), smtputf8=smtputf8, profile="maxemail"
    )
    draft = rewrite_from_envelope(Draft.of(read(message, PROFILE)), FACTS)
    (copy,) = draft.copies
    return copy.header


@pytest.mark.parametrize(
    ("came", "leaves"),
    [
        (b"Oxford Stones <newsletters@oxfordstones.com>", f"Oxford Stones <{SENDER}>"),
        (b"newsletters@oxfordstones.com", SENDER),
        (b"<newsletters@oxfordstones.com>", SENDER),
        (b'"Oxford, Stones" <n@oxfordstones.com>', f'"Oxford, Stones" <{SENDER}>'),
        (b'"A \\"quoted\\" name" <n@o.example>', f'"A \\"quoted\\" name" <{SENDER}>'),
        (b"=?utf-8?q?Oxf=C3=B6rd?= <n@o.example>", f"=?utf-8?q?Oxf=C3=B6rd?= <{SENDER}>"),
        (
            b"=?utf-8?b?T3hmw7Zy?=\r\n =?utf-8?b?ZA==?= <n@o.example>",
            f"=?utf-8?b?T3hmw7Zy?= =?utf-8?b?ZA==?= <{SENDER}>",
        ),
        (b"n@o.example (Oxford Stones)", f'"Oxford Stones" <{SENDER}>'),
        (b"J. Doe <n@o.example>", f"J. Doe <{SENDER}>"),
        (b"Doe, Jo <n@o.example>", f'"Doe, Jo" <{SENDER}>'),
        (b"First <n@o.example>, Second <m@o.example>", f"First <{SENDER}>"),
        (b"n@elsewhere.example <n@elsewhere.example>", SENDER),
        ("Oxförd <n@o.example>".encode(), f"=?utf-8?q?Oxf=C3=B6rd?= <{SENDER}>"),
        (b"Doe, =?utf-8?q?J=C3=B6?= <n@o.example>", f"=?utf-8?b?RG9lLCBKw7Y=?= <{SENDER}>"),
        (b"Jos\xe9 <n@o.example>", f"=?utf-8?b?Sm9zw6k=?= <{SENDER}>"),
        (b"\x1b$BF|K\\\x1b(B <n@o.example>", f"=?utf-8?b?5pel5pys?= <{SENDER}>"),
        (b"x" * 1_100 + b" <n@o.example>", SENDER),  # no field can hold it
        (b"a\x01b <n@o.example>", SENDER),
    ],
)
def test_M09_the_display_name_is_kept_as_it_is_written(came: bytes, leaves: str) -> None:
    assert leaves == rewritten(came).first("From")


def test_M08_the_rest_of_the_header_stays_as_it_is() -> None:
    header = rewritten(b"Oxford Stones <newsletters@oxfordstones.com>")
    assert [b"subject", b"from", b"to"] == [field.name for field in header.fields]


def test_M09_utf8_stays_where_the_client_asked_for_smtputf8() -> None:
    sender = "bücher@oxfordstones.com"
    header = rewritten("Oxförd <n@o.example>".encode(), sender, smtputf8=True)
    assert f"Oxförd <{sender}>" == header.first("From")


PIECES = st.sampled_from(
    [*'<>()@,;:."\\ \t', "=?utf-8?q?=0D=0A?=", "=?utf-8?b?8J+Yig==?=", "ö", "\r", "\x0b", "a", "J"]
)


@given(st.lists(PIECES | st.characters(codec="utf-8"), max_size=40).map("".join))
def test_M09_no_name_breaks_the_header_or_shows_another_address(name: str) -> None:
    value = f"{name} <n@o.example>".replace("\n", " ")
    header = rewritten(value.encode())
    (field,) = [field for field in header.fields if field.name == b"from"]
    assert 1 == len(Header.parse(field.raw + b"\r\n").fields)
    assert field.raw.isascii()
    (author,) = mailboxes(field.value)
    assert Address.parse(SENDER) == author.address
