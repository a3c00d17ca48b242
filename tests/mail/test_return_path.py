"""Signed return paths: only ours, and for two weeks."""

from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from posthouse.mail.address import Address
from posthouse.mail.return_path import InvalidReturnPath, sign, verify

ID = UUID("0195ab00-0000-7000-8000-000000000001")
KEY, OTHER = b"k" * 32, b"o" * 32
TODAY = date(2026, 3, 1)


def token(key: bytes = KEY, day: date = TODAY) -> str:
    return sign(ID, "bounce.example", key, day).partition("@")[0]


@given(st.uuids())
def test_what_was_signed_is_found_again(id_: UUID) -> None:
    path = sign(id_, "bounce.example", KEY, TODAY)
    local, _, host = path.partition("@")

    assert host == "bounce.example"
    assert str(Address.parse(path)) == path
    assert len(local) <= 64
    assert verify(local, [KEY], TODAY) == id_


@pytest.mark.parametrize("fold", [str.upper, str.swapcase, str.title])
def test_servers_may_change_the_case(fold: object) -> None:
    assert callable(fold)
    assert verify(fold(token()), [KEY], TODAY) == ID


def test_an_old_key_still_verifies_while_it_is_listed() -> None:
    assert verify(token(OTHER), [KEY, OTHER], TODAY) == ID
    with pytest.raises(InvalidReturnPath, match="does not fit"):
        verify(token(OTHER), [KEY], TODAY)
    with pytest.raises(InvalidReturnPath, match="does not fit"):
        verify(token(), [], TODAY)


@pytest.mark.parametrize(
    ("days", "valid"),
    [(-15, False), (-14, True), (-5, True), (0, True), (14, True), (15, False), (4000, False)],
)
def test_it_is_valid_for_two_weeks_whichever_clock_is_ahead(days: int, valid: bool) -> None:
    later = TODAY + timedelta(days=days)

    if valid:
        assert verify(token(), [KEY], later) == ID
    else:
        with pytest.raises(InvalidReturnPath, match="days ago"):
            verify(token(), [KEY], later)


@given(st.integers(0, 49), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567+-@ä="))
def test_no_character_can_be_changed(at: int, character: str) -> None:
    changed = token()[:at] + character + token()[at + 1 :]
    assume(changed != token())

    with pytest.raises(InvalidReturnPath):
        verify(changed, [KEY], TODAY)


@pytest.mark.parametrize(
    "local", ["", "b+", "b+short", "postmaster", "b+" + "a" * 48 + "x", "x" * 50, "b+" + "é" * 48]
)
def test_anything_else_is_not_one_of_ours(local: str) -> None:
    with pytest.raises(InvalidReturnPath):
        verify(local, [KEY], TODAY)


@given(st.text(max_size=60))
def test_no_text_makes_it_fail_otherwise(local: str) -> None:
    with pytest.raises(InvalidReturnPath):
        verify(local, [KEY], TODAY)
