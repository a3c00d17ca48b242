"""Tags at the front of a Subject: found, and removed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.header_text import encode_text
from posthouse.mail.message import Field, Header
from posthouse.mail.subject_tags import subject_text, tags_in, without_tags


def subject(raw: str | bytes) -> Field:
    octets = raw.encode() if isinstance(raw, str) else raw
    return Field(b"subject", octets + b"\r\n")


@pytest.mark.parametrize(
    ("raw", "tags", "delivered"),
    [
        ("Subject: [tag: a, b] Text", " a, b", "Subject: Text"),
        ("SUBJECT : [tag:a]  Text", "a", "SUBJECT : Text"),
        ("Subject:[tag:a]Text", "a", "Subject: Text"),
        ("Subject: [tag: a] [tag: b] Text", " a", "Subject: [tag: b] Text"),
        ("Subject: [tag: a]", " a", "Subject: "),
        ("Subject: [tag:] Text", "", "Subject: Text"),
        ("Subject:\r\n [tag: a,\r\n b]\r\n\tText\r\n more", " a, b", "Subject: Text\r\n more"),
        ("Subject: [tag: a] =?utf-8?q?=C3=BC?=", " a", "Subject: =?utf-8?q?=C3=BC?="),
        ("Subject: =?utf-8?q?[tag:_a,_b]_Text?=", " a, b", "Subject: Text"),
        ("Subject: =?utf-8?q?[tag:_a]_=C3=BC?=", " a", "Subject: =?utf-8?b?w7w=?="),
        ("Subject: [tag: =?utf-8?q?=C3=A4=5D_Text?=", " ä", "Subject: Text"),
        ("Subject: [tag: a] Grüße", " a", "Subject: Grüße"),
        # None of these is the form.
        ("Subject: Text [tag: a]", None, "Subject: Text [tag: a]"),
        ("Subject: [Tag: a] Text", None, "Subject: [Tag: a] Text"),
        ("Subject: [ tag: a] Text", None, "Subject: [ tag: a] Text"),
        ("Subject: [tag a] Text", None, "Subject: [tag a] Text"),
        ("Subject: [tag: a Text", None, "Subject: [tag: a Text"),
    ],
)  # fmt: skip
def test_C24_tags_at_the_front_are_read_and_removed(
    raw: str, tags: str | None, delivered: str
) -> None:
    field = subject(raw)
    assert tags == tags_in(subject_text(field))
    assert subject(delivered) == without_tags(field)


def test_C24_octets_that_are_no_text_stay() -> None:
    assert without_tags(subject(b"Subject: [tag: a] \xe9")) == subject(b"Subject: \xe9")


def test_C24_no_line_becomes_too_long() -> None:
    field = subject(f"Subject: [tag: a]\r\n {'x' * 997}")
    assert without_tags(field) == subject(f"Subject:\r\n {'x' * 997}")


TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
PARTS = st.lists(
    st.sampled_from(["[tag:", "]", "a", ",", " ", "\r\n ", "\t", "=?utf-8?q?", "?=", "\n", "ä"])
    | TEXT,
    max_size=8,
).map("".join)


@given(PARTS)
def test_C24_what_is_delivered_is_one_field_without_the_tags(value: str) -> None:
    """No tag ends the field early; the text behind the tags is what readers saw there."""
    read, _ = Header.read(f"Subject: {value}\r\n\r\n".encode())
    if len(read.fields) != 1 or not read.fields[0].raw.startswith(b"Subject: "):
        return
    for field in (read.fields[0], encode_text(read.fields[0])):
        found, whole = without_tags(field), subject_text(field)
        assert Header.parse(found.raw + b"\r\n").fields == (found,)
        tags = tags_in(whole)
        if tags is None:
            assert found == field
        else:
            rest = whole.removeprefix(f"[tag:{tags}]").strip()
            assert subject_text(found).strip() == rest
