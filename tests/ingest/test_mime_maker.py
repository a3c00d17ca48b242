"""The octets of a message that an application described, as other programs read them."""

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.message_options import NamedAddress
from ingest.core.message_values import media_type
from ingest.core.mime_maker import Making, made
from ingest.core.new_message import Alternative, Attachment, NewMessage, WrongValue
from posthouse.mail.address import Address
from posthouse.mail.message import split

MAKING = Making("<1@a.example>", datetime(2026, 7, 1, 9, tzinfo=UTC), "token")
JO = NamedAddress(Address.parse("jo@a.example"))


def octets(**fields: Any) -> bytes:
    return made(NewMessage(JO, to=(JO,), **fields), MAKING)


def read(content: bytes) -> EmailMessage:
    found = message_from_bytes(content, policy=policy.default)
    assert isinstance(found, EmailMessage)
    assert not [defect for part in found.walk() for defect in part.defects]
    return found


def kinds(content: bytes) -> list[str]:
    return [part.get_content_type() for part in read(content).walk()]


FILE = Attachment("a.pdf", "application/pdf", b"pdf")
LOGO = Attachment("l.png", "image/png", b"png", "logo", is_inline=True)
AMP = Alternative("text/x-amp-html", "<html amp4email>")
DATE = Alternative("text/calendar", "BEGIN:VCALENDAR")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"text": "a"}, ["text/plain"]),
        ({"html": "a"}, ["text/html"]),
        ({"text": "a", "html": "b"}, ["multipart/alternative", "text/plain", "text/html"]),
        (
            {"text": "a", "attachments": (FILE,)},
            ["multipart/mixed", "text/plain", "application/pdf"],
        ),
        ({"attachments": (FILE,)}, ["multipart/mixed", "application/pdf"]),
        ({"alternatives": (DATE,)}, ["text/calendar"]),
        (
            {"text": "a", "html": "b", "alternatives": (DATE, AMP)},
            [
                *("multipart/alternative", "text/plain", "text/x-amp-html"),
                *("text/html", "text/calendar"),
            ],
        ),
        ({"html": "a", "attachments": (LOGO,)}, ["multipart/related", "text/html", "image/png"]),
        ({"text": "a", "attachments": (LOGO,)}, ["multipart/mixed", "text/plain", "image/png"]),
        (
            {"text": "a", "html": "b", "attachments": (FILE, LOGO)},
            [
                *("multipart/mixed", "multipart/alternative", "text/plain"),
                *("multipart/related", "text/html", "image/png", "application/pdf"),
            ],
        ),
    ],
)
def test_parts_nest_as_readers_expect(fields: dict[str, Any], expected: list[str]) -> None:
    assert kinds(octets(**fields)) == expected


@pytest.mark.parametrize("is_inline", [True, False])
def test_a_file_is_shown_with_the_text_if_it_is_inline(is_inline: bool) -> None:
    file = Attachment("l.png", "image/png", b"png", "logo", is_inline=is_inline)
    *_, part = read(octets(html="a", attachments=(file,))).walk()

    assert part.get_content_disposition() == ("inline" if is_inline else "attachment")
    assert part["Content-ID"] == "<logo>"


def test_a_file_has_its_description() -> None:
    file = Attachment("a.pdf", "application/pdf", b"pdf", description="die Käseliste")
    *_, part = read(octets(text="a", attachments=(file,))).walk()

    assert part["Content-Description"] == "die Käseliste"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("short lines\nof ASCII", "7bit"),
        ("", "7bit"),
        ("x" * 79, "quoted-printable"),
        ("an escape \x1b", "quoted-printable"),
        ("Grüße aus Köln, sonst ist alles wie immer", "quoted-printable"),
        ("日本語の文章", "base64"),
        ("x " * 40_000, "base64"),  # one line of 80 KB
        ("Größe, und sonst wie immer\n" * 10_000, "quoted-printable"),  # in several pieces
    ],
)
def test_text_is_transferred_in_the_shortest_way(text: str, encoding: str) -> None:
    content = octets(text=text)
    message = read(content)

    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 78
    assert message["Content-Transfer-Encoding"] == encoding
    expected = text if text.endswith("\n") else f"{text}\n"
    assert message.get_content().replace("\r\n", "\n") == expected


@pytest.mark.parametrize(
    "name",
    [
        "a.pdf",
        'with "quotes" and \\ and ; and spaces.pdf',
        "ü.pdf",
        "日本語の長いファイル名" * 10 + ".pdf",
        "x" * 255,
        "%41'*.txt",
    ],
)
def test_a_filename_is_read_as_it_was_given(name: str) -> None:
    content = octets(text="a", attachments=(Attachment(name, "text/x", b"", ""),))
    (file,) = read(content).iter_attachments()

    assert file.get_filename() == name
    assert max(map(len, content.split(b"\r\n"))) <= 90


def test_a_file_without_a_name_has_none() -> None:
    content = octets(text="a", attachments=(Attachment("", "text/calendar; method=REQUEST", b"b"),))
    (file,) = read(content).iter_attachments()

    assert file.get_filename() is None
    assert file["Content-Type"].params == {"method": "REQUEST"}
    assert file["Content-Disposition"] == "attachment"


def test_a_message_within_a_message_is_not_encoded() -> None:
    inner = b"From: a@b.example\r\nSubject: s\r\n\r\nbody"
    content = octets(text="a", attachments=(Attachment("m.eml", "message/rfc822", inner),))

    assert kinds(content)[2:] == ["message/rfc822", "text/plain"]
    assert inner in content


def test_a_header_says_what_was_given() -> None:
    message = NewMessage(
        NamedAddress(Address.parse("jo@a.example"), 'Doe, "Jo"'),
        to=(
            NamedAddress(Address.parse("x@bücher.example"), "Äpfel & Birnen"),
            NamedAddress(Address.parse("y@b.example")),
        ),
        cc=(NamedAddress(Address.parse("z@b.example"), "=?utf-8?q?a?="),),
        reply_to=(NamedAddress(Address.parse("r@b.example")),),
        subject="=?utf-8?q?x?= Grüße an alle, die diese sehr lange Zeile lesen, ähnlich wie hier",
        text="a",
        headers=(("X-One", "plain"), ("x-two", "ü" * 300), ("X-Long", "x" * 1_500)),
    )
    content = made(message, MAKING)
    found = read(content)

    assert content.isascii()
    assert found["From"].addresses[0].display_name == 'Doe, "Jo"'
    assert [(one.display_name, one.addr_spec) for one in found["To"].addresses] == [
        ("Äpfel & Birnen", "x@xn--bcher-kva.example"),
        ("", "y@b.example"),
    ]
    assert found["Reply-To"] == "r@b.example"
    assert found["Subject"].endswith(
        "Grüße an alle, die diese sehr lange Zeile lesen, ähnlich wie hier"
    )
    assert found["X-One"] == "plain"
    assert found["x-two"] == "ü" * 300
    assert found["X-Long"] == "x" * 1_500
    assert found["Date"] == "Wed, 01 Jul 2026 09:00:00 +0000"
    assert found["Message-ID"] == "<1@a.example>"
    assert found["MIME-Version"] == "1.0"
    header = split(content)[0]
    assert max(map(len, header.split(b"\r\n"))) <= 78


def test_a_message_id_may_be_given() -> None:
    content = octets(text="a", headers=(("message-id", "<own@a.example>"),))

    assert re.findall(rb"(?mi)^message-id: (.*)\r$", content) == [b"<own@a.example>"]


ANY_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=200)


@given(ANY_TEXT, ANY_TEXT)
def test_any_text_comes_out_as_it_went_in(text: str, html: str) -> None:
    content = octets(text=text, html=html)
    parts = list(read(content).iter_parts())

    assert content.isascii()
    assert b"\r" not in content.replace(b"\r\n", b"")
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert max(map(len, content.split(b"\r\n"))) <= 78
    for part, given_ in zip(parts, (text, html), strict=True):
        lines = re.sub("\r\n|\r", "\n", given_)
        expected = lines if lines.endswith("\n") else lines + "\n"
        assert part.get_payload(decode=True).decode().replace("\r\n", "\n") == expected  # type: ignore[union-attr]


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_no_text_makes_a_field_of_its_own(subject: str, name: str, value: str, file: str) -> None:
    message = NewMessage(
        NamedAddress(Address.parse("jo@a.example"), name),
        to=(JO,),
        subject=subject,
        text="a",
        attachments=(Attachment(file, "a/b", b""),),
        headers=(("X-Value", value),),
    )
    try:
        content = made(message, MAKING)
    except WrongValue:
        return
    header, _ = split(content)
    names = [line.partition(b":")[0] for line in header.split(b"\r\n") if line[:1].strip()]

    assert header.endswith(b"\r\n\r\n")
    expected = b"From To Subject X-Value Date Message-ID MIME-Version Content-Type"
    assert names == expected.split()


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("a.csv", "text/csv"),
        ("a.csv.gz", "application/octet-stream"),
        ("a.tar.bz2", "application/octet-stream"),
        ("a", "application/octet-stream"),
    ],
)
def test_the_end_of_a_filename_says_what_is_in_the_file(filename: str, expected: str) -> None:
    """What is packed is not of the type of what is packed in it."""
    assert expected == media_type("", filename, "/type")
