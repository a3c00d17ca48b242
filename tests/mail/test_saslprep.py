"""SASLprep: the examples of its RFC, and what no client could send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.saslprep import CannotPrepare, prepared


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("\u0627\u0031\u0628", "\u0627\u0031\u0628"),
        ("a\u3000b", "a b"),
        ("\U0001f600", "\U0001f600"),  # unknown to Unicode 3.2
    ],
)
def test_as_its_rfc_has_it(text: str, expected: str) -> None:
    """RFC 4013 section 3."""
    assert prepared(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "\x07", "a\nb", "a\0b", "\u0627\u0031", "\ufeff", "x" * 256, "\ufdfa" * 100, "\ue000"],
)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(CannotPrepare):
        prepared(text)


@given(st.text(max_size=300))
def test_what_was_prepared_stays_as_it_is(text: str) -> None:
    try:
        once = prepared(text)
    except CannotPrepare:
        return
    assert prepared(once) == once
