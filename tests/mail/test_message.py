"""Splitting and editing headers without changing fields that are not edited."""

from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from posthouse.mail.message import (
    Field,
    Header,
    HeaderInjection,
    HeaderTooLong,
    field,
    has_bare_line_end,
    split,
)

ODD = [
    pytest.param(b"A: 1\r\nB: 2\r\n\r\nbody\r\n", b"A: 1\r\nB: 2\r\n\r\n", b"body\r\n", id="plain"),
    pytest.param(b"A: 1\r\n\r\n", b"A: 1\r\n\r\n", b"", id="no body"),
    pytest.param(b"A: 1\r\n", b"A: 1\r\n\r\n", b"", id="no empty line"),
    pytest.param(b"\r\nbody\r\n", b"\r\n", b"body\r\n", id="empty header"),
    pytest.param(b"", b"\r\n", b"", id="nothing at all"),
    pytest.param(b"Hello\r\nA: 1\r\n\r\n", b"\r\n", b"Hello\r\nA: 1\r\n\r\n", id="text at once"),
    pytest.param(
        b"A: 1\r\nno colon here\r\nB: 2\r\n\r\nbody\r\n",
        b"A: 1\r\n\r\n",
        b"no colon here\r\nB: 2\r\n\r\nbody\r\n",
        id="a line that is no field begins the body",
    ),
    pytest.param(b" leading\r\nA: 1\r\n", b"\r\n", b" leading\r\nA: 1\r\n", id="leading blank"),
    pytest.param(
        b"A: 1\r\n 2\r\n\t3\r\n \t\r\nB : x\r\n\r\nb",
        b"A: 1\r\n 2\r\n\t3\r\n \t\r\nB : x\r\n\r\n",
        b"b",
        id="obsolete folding and blanks before the colon",
    ),
    pytest.param(b"A: \xe9\xff\r\n\r\n", b"A: \xe9\xff\r\n\r\n", b"", id="8-bit value"),
    pytest.param(b"A: 1\r\n\xe9: 2\r\n", b"A: 1\r\n\r\n", b"\xe9: 2\r\n", id="8-bit name"),
    pytest.param(b"A: 1\nB: 2\r\n\r\n", b"\r\n", b"A: 1\nB: 2\r\n\r\n", id="bare LF"),
    pytest.param(b":\r\n\r\n", b"\r\n", b":\r\n\r\n", id="no name"),
    pytest.param(b"A:\r\n\r\n", b"A:\r\n\r\n", b"", id="no value"),
]

BIG = 65_536  # has_bare_line_end reads so much at once

lines = st.lists(
    st.one_of(
        st.sampled_from(
            [b"From: a@b.example", b"X:", b" folded", b"\t", b"", b"no colon", b"x: \xe9"]
        ),
        st.binary(max_size=20),
    ),
    max_size=12,
).map(b"\r\n".join)


@pytest.mark.parametrize(("content", "header", "body"), ODD)
def test_header_and_body_part_where_the_fields_end(
    content: bytes, header: bytes, body: bytes
) -> None:
    assert (header, body) == split(content)


@given(lines)
def test_splitting_loses_nothing_and_gives_fields_only(content: bytes) -> None:
    """Header and body are the content, but for an empty line that had to be supplied."""
    header, body = split(content)

    assert header.endswith(b"\r\n")
    assert content in {header + body, header[:-2] + body}
    assert all(field.name for field in Header.parse(header).fields)


@given(lines)
@example(b"A: 1")
@example(b"no field\n\r\n")
@example(b"\r\n\r\n")
def test_a_header_nobody_edits_is_byte_for_byte_the_same(raw: bytes) -> None:

    assert bytes(Header.parse(raw)) in {raw, raw + b"\r\n"}


@given(lines)
def test_an_edit_leaves_all_other_fields_byte_for_byte(content: bytes) -> None:
    header = Header.parse(split(content)[0])
    edited = header.prepend("Received", "x").replace("x", "new").append("Y", "z").without("y")
    kept = [f for f in header.fields if f.name not in {b"x", b"y"}]

    assert [f for f in edited.fields[1:] if f.name != b"x"] == kept
    assert edited.values("X") == ("new",)


def test_names_are_compared_without_case_and_values_unfolded() -> None:
    header = Header.parse(b"SUBJECT : one\r\n two\r\nsubject:three \t\r\n\r\n")

    assert header.values("Subject") == ("one two", "three")
    assert header.first("subject") == "one two"
    assert header.first("from") is None
    assert header.values("from") == ()


def test_octets_that_are_not_utf8_read_as_replacement_characters() -> None:
    assert Header.parse(b"Subject: caf\xe9\r\n\r\n").first("subject") == "caf\ufffd"


def test_replacing_keeps_the_place_of_the_first_and_drops_the_others() -> None:
    header = Header.parse(b"A: 1\r\nB: 2\r\na: 3\r\n\r\n")

    assert bytes(header.replace("A", "new")) == b"A: new\r\nB: 2\r\n\r\n"
    assert bytes(header.replace("C", "new")) == b"A: 1\r\nB: 2\r\na: 3\r\nC: new\r\n\r\n"


@pytest.mark.parametrize(
    "value",
    [
        "x\r\nBcc: a@b.example",
        "x\nBcc: y",
        "x\ry",
        "x\0y",
        "x\x0by",
        "x\u2028y",
        "x\x85y",
        "\x7f",
        "\ud800",
    ],
)
def test_a_value_that_would_end_its_line_is_refused(value: str) -> None:
    with pytest.raises(HeaderInjection, match="X-Note"):
        field("X-Note", value)


@pytest.mark.parametrize("name", ["", "X Note", "X:", "X\r\nBcc", "Ä"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(HeaderInjection, match="no name"):
        field(name, "value")


def test_what_looks_like_an_escape_stays_text() -> None:
    """No decoding happens on the way: %0a and encoded words are just text."""
    made = field("X-Note", "a%0ab =?utf-8?q?=0D=0A?=")

    assert made.raw == b"X-Note: a%0ab =?utf-8?q?=0D=0A?=\r\n"


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=400))
@example("a" * 80 + " " * 200 + "b")
@example(" ".join(["word"] * 60))
@example("")
def test_a_folded_value_reads_as_it_was_given(value: str) -> None:
    made = field("X-Note", value)
    physical = made.raw.removesuffix(b"\r\n").split(b"\r\n")

    assert value.strip() == made.value
    assert (made,) == Header.parse(made.raw).fields
    assert all(line.strip() for line in physical)
    assert all(len(line) <= 78 or len(line.split()) <= 2 for line in physical)


def test_a_word_longer_than_a_line_may_be_is_refused() -> None:
    assert field("X", "a" * 900).raw.startswith(b"X: a")
    with pytest.raises(HeaderTooLong, match="998"):
        field("X", "a" * 1000)


def test_values_beyond_ascii_are_written_as_utf8() -> None:
    assert Field(b"x", "X: größe\r\n".encode()) == field("X", "größe")


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_only_whole_crlfs_end_lines(kind: type[bytes | bytearray]) -> None:
    """Every content of up to six of the octets that matter."""
    for length in range(7):
        for octets in product((b"\r", b"\n", b"\0", b"x"), repeat=length):
            content = b"".join(octets)
            rest = content.replace(b"\r\n", b" ")
            bare = any(octet in rest for octet in b"\r\n\0")

            assert (bare, content) == (has_bare_line_end(kind(content)), content)


@pytest.mark.parametrize("at", range(BIG - 3, BIG + 3))
@pytest.mark.parametrize("bare", [b"\r", b"\n", b"\0", b"\r\r\n", b"\n\r"])
def test_a_large_content_is_read_as_one(at: int, bare: bytes) -> None:
    whole = b"x" * at + b"\r\n" + b"y\r\n" * BIG

    assert not has_bare_line_end(whole)
    assert has_bare_line_end(whole[:at] + bare + whole[at:])
    assert has_bare_line_end(whole[: at + 2] + bare + whole[at + 2 :])
    assert has_bare_line_end(whole + bare)
