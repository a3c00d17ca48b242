"""Signed ids: only ours, and for ninety days."""

from datetime import date, timedelta
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from posthouse.mail.signed_id import ExpiredSignedId, InvalidSignedId, SignedId, sign, verify

ACCOUNT, SUBMISSION, RENDITION = (UUID(f"0195ab00-0000-7000-8000-00000000000{n}") for n in "123")
KEY, OTHER = b"k" * 32, b"o" * 32
TODAY = date(2026, 3, 1)


def token(key: bytes = KEY, day: date = TODAY) -> str:
    return sign(ACCOUNT, SUBMISSION, RENDITION, key, day).value


@given(st.uuids(), st.uuids(), st.uuids(), st.uuids())
def test_what_was_signed_is_found_again(
    account: UUID, submission: UUID, rendition: UUID, other: UUID
) -> None:
    field = sign(account, submission, rendition, KEY, TODAY)
    found = verify(field.value, [KEY], TODAY)

    assert (field.name, field.raw[:16]) == (b"x-posthouse-id", b"X-Posthouse-Id: ")
    assert len(field.raw) == 16 + 68 + 2
    assert (account, submission) == (found.account_id, found.submission_id)
    assert found.is_of(rendition)
    assert found.is_of(other) == (other.bytes[-5:] == rendition.bytes[-5:])


def test_an_old_key_still_verifies_while_it_is_listed() -> None:
    wanted = SignedId(ACCOUNT, SUBMISSION, RENDITION.bytes[-5:])
    assert wanted == verify(token(OTHER), [KEY, OTHER], TODAY)
    for keys in ([KEY], []):
        with pytest.raises(InvalidSignedId, match="does not fit"):
            verify(token(OTHER), keys, TODAY)


@pytest.mark.parametrize(
    ("days", "valid"),
    [(-91, False), (-90, True), (0, True), (14, True), (90, True), (91, False), (4000, False)],
)
def test_it_is_valid_for_ninety_days_whichever_clock_is_ahead(days: int, valid: bool) -> None:
    later = TODAY + timedelta(days=days)

    if valid:
        assert verify(token(), [KEY], later).submission_id == SUBMISSION
    else:
        with pytest.raises(ExpiredSignedId, match="days ago"):
            verify(token(), [KEY], later)


@given(st.integers(0, 67), st.sampled_from("ABCxyz019-_+/=ä \n"))
def test_no_letter_can_be_changed(at: int, letter: str) -> None:
    """Not the case of one either: each id has one spelling."""
    changed = token()[:at] + letter + token()[at + 1 :]
    assume(changed != token())

    with pytest.raises(InvalidSignedId):
        verify(changed, [KEY], TODAY)


def test_no_part_of_one_fits_another() -> None:
    """Neither account, submission, copy nor day can be taken from another id of ours."""
    other = UUID(int=ACCOUNT.int ^ (1 << 128) - 1)
    mine, theirs = token(), sign(other, other, other, KEY, TODAY - timedelta(1)).value
    for cut in range(1, 68):
        with pytest.raises(InvalidSignedId):
            verify(mine[:cut] + theirs[cut:], [KEY], TODAY)


@given(st.text(max_size=70) | st.text(alphabet="AB-_=", min_size=68, max_size=68))
def test_no_text_makes_it_fail_otherwise(text: str) -> None:
    with pytest.raises(InvalidSignedId):
        verify(text, [KEY], TODAY)
