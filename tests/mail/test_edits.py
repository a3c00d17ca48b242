"""No edit of a header corrupts it: all other fields keep their octets and their order.

The headers are any that a message can come with, since `split` decides what is one.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.header_text import encode_text
from posthouse.mail.long_lines import fold_long_lines, has_long_line
from posthouse.mail.message import (
    Field,
    Header,
    HeaderInjection,
    HeaderTooLong,
    field,
    has_bare_line_end,
    split,
)
from posthouse.mail.repeated_fields import SINGLE, without_copies
from posthouse.mail.subject_text import repair_subject

NAMES = ["From", "to", "SUBJECT", "X-A", "x-b", "Date", "Message-ID", "Bcc", "Received", "a" * 80]
BITS = [
    *(
        b"a",
        b"b c",
        b" ",
        b"\t",
        b"\r\n ",
        b"\r\n\t",
        b"\r\n \t\r\n ",
        b":",
        b",",
        b'"',
        b"(",
        b")",
    ),
    *(
        b"<a@b.example>",
        b"=?utf-8?q?=FC?=",
        b"=?",
        b"?=",
        b"\xfc",
        "ü😀".encode(),
        b"\x1b$B",
        b"\x7f",
    ),
    *(b"word " * 250, b"w" * 999),
]
values = st.lists(st.sampled_from(BITS) | st.binary(max_size=4), max_size=6).map(b"".join)
named = st.tuples(st.sampled_from(NAMES), st.sampled_from([":", " :", "\t:"]), values).map(
    lambda parts: f"{parts[0]}{parts[1]}".encode() + parts[2]
)
stray = st.sampled_from(
    [b"", b" fold", b"\t", b"no colon", b": x", b"\xfc: x", b"x y: z", b"\n", b"\r"]
)
bare = st.sampled_from([b"\n", b"\r"])
contents = st.lists(named | named | named | stray | bare, max_size=10).map(
    lambda lines: b"\r\n".join(lines) + b"\r\n\r\nbody\r\n"
)
texts = st.lists(
    st.sampled_from(["a", " ", "\r\n", "\r\nBcc: x@y.example", "\n", "\r", "\0", "\x85", "\u2028"])
    | st.sampled_from([":", "\t", "ü", "=?utf-8?q?=0D=0ABcc:_x?=", "word " * 50, "w" * 999])
    | st.text(max_size=3),
    max_size=5,
).map("".join)
names = st.sampled_from([*NAMES, "", "X Y", "X:", "X\r\nBcc", "Ä"]) | st.text(max_size=3)
Edit = Callable[[Header], Header]


def each(edit: Callable[[Field], Field]) -> Edit:
    return lambda header: Header(tuple(edit(one) for one in header.fields))


def check(content: bytes, edit: Edit, touched: Callable[[Field], bool]) -> None:
    """*edit* leaves a header that is read as it was made, with every field not *touched*."""
    octets, body = split(content)
    before = Header.parse(octets)
    after = edit(before)
    assert split(bytes(after) + body) == (bytes(after), body)
    assert Header.parse(bytes(after)) == after
    assert has_bare_line_end(bytes(after)) <= has_bare_line_end(octets)
    kept = [one for one in before.fields if not touched(one)]
    assert kept == [one for one in after.fields if not touched(one)]


@given(contents, names, texts)
def test_writing_a_field_touches_no_other(content: bytes, name: str, value: str) -> None:
    """And no name or value writes a second one."""
    key = name.lower().encode("utf-8", "replace")
    for write in (Header.prepend, Header.append, Header.replace):
        with suppress(HeaderInjection, HeaderTooLong):
            edit = partial(write, name=name, value=value)
            check(content, edit, lambda one: one.name == key)
            before = Header.parse(split(content)[0])
            after = write(before, name, value)
            added = 1 if write is not Header.replace else 1 - len(before.values(name))
            assert len(after.fields) - len(before.fields) == added
            assert field(name, value) in after.fields


@given(contents, st.lists(st.sampled_from(NAMES), max_size=4))
def test_removing_fields_touches_no_other(content: bytes, unwanted: list[str]) -> None:
    keys = {name.lower().encode() for name in unwanted}
    check(content, lambda header: header.without(*unwanted), lambda one: one.name in keys)
    assert not any(map(Header.parse(split(content)[0]).without(*unwanted).values, unwanted))


@given(contents)
def test_removing_copies_touches_no_other(content: bytes) -> None:
    check(content, without_copies, lambda one: one.name in SINGLE)


@given(contents)
def test_encoding_touches_no_field_of_plain_ascii(content: bytes) -> None:
    before = Header.parse(split(content)[0])
    named = {one.name for one in before.fields if not one.raw.isascii()}
    check(content, each(encode_text), lambda one: one.name in named)
    for old, new in zip(before.fields, each(encode_text)(before).fields, strict=True):
        assert old == new if old.raw.isascii() else old.name == new.name


@given(contents)
def test_repairing_a_subject_makes_one_field_of_it(content: bytes) -> None:
    def edit(one: Field) -> Field:
        return repair_subject(one) if one.name == b"subject" else one

    check(content, each(edit), lambda one: one.name == b"subject")


@given(contents)
def test_folding_touches_fields_with_long_lines_only(content: bytes) -> None:
    check(content, fold_long_lines, lambda one: has_long_line(one.raw) or b"word " in one.raw)
    before = Header.parse(split(content)[0])
    for old, new in zip(before.fields, fold_long_lines(before).fields, strict=True):
        assert old.value == new.value


@given(st.lists(contents, max_size=3), st.lists(st.tuples(st.sampled_from(NAMES), texts)))
def test_edits_in_a_row_leave_what_none_of_them_names(
    some: list[bytes], edits: list[tuple[str, str]]
) -> None:
    for content in some:
        header = before = Header.parse(split(content)[0])
        for write, (name, value) in zip(
            chain(*[(Header.prepend, Header.append, Header.replace)] * 9), edits, strict=False
        ):
            with suppress(HeaderInjection, HeaderTooLong):
                header = write(header, name, value)
        touched = {name.lower().encode() for name, _ in edits}
        assert [one for one in before.fields if one.name not in touched] == [
            one for one in header.fields if one.name not in touched
        ]
