"""What a body differs in from another one is stored, and makes the same octets again."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.body_edits import edited, packed, with_packed

BODY = b"See <a href=x>one</a> and <a href=y>two</a>."


def test_edits_are_made_and_kept() -> None:
    edits = [
        (12, 13, b"https://t/c/1"),
        (34, 35, b"https://t/c/2"),
        (44, 44, b"!"),
    ]
    expected = b"See <a href=https://t/c/1>one</a> and <a href=https://t/c/2>two</a>.!"
    assert expected == edited(BODY, edits)
    assert expected == with_packed(BODY, packed(edits))
    assert 1 == packed(edits).count(b"https://t/c/")


def test_no_edits_are_the_body_itself() -> None:
    assert BODY is with_packed(BODY, None)
    assert BODY == with_packed(BODY, packed([]))


@given(st.binary(), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.binary())))
def test_any_edits_make_the_same_octets_again(
    body: bytes, wanted: list[tuple[int, int, bytes]]
) -> None:
    edits, at = [], 0
    for skipped, gone, octets in wanted:
        start = min(at + skipped, len(body))
        at = min(start + gone, len(body))
        edits.append((start, at, octets))
    assert edited(body, edits) == with_packed(body, packed(edits))


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"\0\0\0",
        packed([(3, 4, b"abc")])[:-1],
        packed([(3, len(BODY) + 1, b"")]),
        packed([(9, 10, b""), (3, 4, b"")]),
        struct.pack("!IIII", 0, 0, 0, 1 << 31 | 5),
    ],
)
def test_what_is_not_made_for_this_body_is_refused(stored: bytes) -> None:
    with pytest.raises(ValueError, match="edits"):
        with_packed(BODY, stored)


@given(st.binary(), st.binary())
def test_anything_stored_is_edits_or_refused(body: bytes, stored: bytes) -> None:
    with suppress(ValueError):
        with_packed(body, stored)
