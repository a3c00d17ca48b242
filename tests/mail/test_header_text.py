"""8-bit text in header fields becomes encoded words, and what must not change does not."""

from email import message_from_bytes, policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.header_text import encode_text
from posthouse.mail.message import Header


def encoded(line: str | bytes) -> bytes:
    raw = (line.encode() if isinstance(line, str) else line) + b"\r\n"
    return encode_text(Header.parse(raw).fields[0]).raw


def as_read(raw: bytes) -> str:
    """The value as another program shows it."""
    message = message_from_bytes(raw + b"\r\n", policy=policy.default)
    return str(next(iter(message.values())))


@pytest.mark.parametrize(
    ("line", "readable"),
    [
        ("Subject: Grüße aus München an alle", "an alle"),
        ("Subject: " + "日本語のとても長い件名です" * 12, ""),
        ("Subject: plain words, then ü", "plain words, then "),
        ("X-Application: Überweisung", ""),
        ("Content-Description: Anhänge", ""),
        ('From: "Müller, Jürgen" <j@a.example>', "<j@a.example>"),
        ("From: Jürgen Müller <j@a.example>", "<j@a.example>"),
        (
            "To: Jörg <a@b.example>, c@d.example, Ann <x@y.example>",
            "c@d.example, Ann <x@y.example>",
        ),
        ("Cc: Küche: a@b.example, c@d.example;", ": a@b.example, c@d.example;"),
        ('Reply-To: "Jo @ Köln" <j@a.example>', "<j@a.example>"),
    ],
)
def test_text_is_encoded_and_reads_the_same(line: str, readable: str) -> None:
    raw = encoded(line)
    assert raw.isascii()
    assert readable in raw.decode().replace("\r\n", "")
    assert max(map(len, raw.split(b"\r\n"))) <= 76
    assert as_read(raw) == as_read(line.encode() + b"\r\n")


def test_a_comma_in_a_display_name_that_should_be_quoted_stays_in_it() -> None:
    raw = encoded("To: plain@c.example (Büro), Müller, Ann <x@y.example>")
    assert raw.isascii()
    assert as_read(raw) == 'plain@c.example, "Müller, Ann" <x@y.example>'


def test_encoded_words_among_the_text_are_read_first() -> None:
    raw = encoded("Subject: a =?utf-8?q?=C3=A4?= ü z")
    assert as_read(raw) == "a ä ü z"


@pytest.mark.parametrize(
    "line",
    [
        "Message-ID: <grün@a.example>",
        "In-Reply-To: <grün@a.example>",
        "Date: Sun, 29 Nov 2026 14:00:00 +0000 (mitteleuropäisch)",
        "Received: from köln by relay.example",
        'Content-Type: application/pdf; name="Grün.pdf"',
        "List-Id: Küche <k.a.example>",
        "From: jürgen@a.example",
        'To: "jürgen x"@a.example',
        "To: <jürgen@a.example>",
        'To: "does not end <jü@a.example>',
        "To: (unbalanced ü <j@a.example>",
        b"Subject: Gr\xfc\xdfe in Latin-1",
        "Subject: all ASCII",
        "Subject: bell \a before ü",
        "To: \x80@a.example",
        "ö: no field",
    ],
)
def test_what_is_no_text_stays_as_it_came(line: str | bytes) -> None:
    raw = (line.encode() if isinstance(line, str) else line) + b"\r\n"
    assert encoded(line) == raw


def test_only_the_name_beside_an_8_bit_address_is_encoded() -> None:
    raw = encoded("From: Jürgen <jürgen@a.example>")
    assert raw == "From: =?utf-8?q?J=C3=BCrgen?= <jürgen@a.example>\r\n".encode()


def test_what_is_only_invisible_stays_beside_an_encoded_word() -> None:
    """The joiner of two emojis, and a character that this Python does not know yet."""
    raw = encoded("Subject: =?utf-8?q?a?= \U0001f469\u200d\U0001f680 \U00012544")
    assert as_read(raw) == "a \U0001f469\u200d\U0001f680 \U00012544"


def test_a_line_end_within_an_encoded_word_ends_no_line() -> None:
    raw = encoded("Subject: ü =?utf-8?q?a=0D=0ABcc:_x=E2=80=A8y?= =?utf-7?q?+2AA-?=")
    assert as_read(raw).startswith("ü a\ufffd\ufffdBcc: x\ufffdy")


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=200))
def test_any_text_passes_and_reads_the_same(text: str) -> None:
    raw = encoded(f"Subject: {text}")
    (field,) = Header.parse(raw).fields
    assert as_read(field.raw).split() == as_read(f"Subject: {text}\r\n".encode()).split()


@given(st.text(st.sampled_from('aü"\\(),;:<>@ =?\a\x80'), max_size=60))
def test_no_address_list_ends_its_field_early_or_raises(text: str) -> None:
    (field,) = Header.parse(encoded(f"To: x{text}")).fields
    assert field.name == b"to"
