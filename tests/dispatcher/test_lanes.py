"""How many transactions may run, by lane."""

import pytest

from dispatcher.claiming import worth_holding
from dispatcher.in_flight import InvalidLaneLimits, LaneLimits
from posthouse.mail.lane import Lane

LIMITS = LaneLimits((24, 22, 20, 20, 20))


@pytest.mark.parametrize(
    ("running", "lowest"),
    [
        (0, Lane.BULK),
        (19, Lane.BULK),
        (20, Lane.HIGH),
        (21, Lane.HIGH),
        (22, Lane.VERY_HIGH),
        (24, None),
    ],
)
def test_what_a_full_wire_leaves_room_for(running: int, lowest: Lane | None) -> None:
    """Higher lanes may start when bulk has taken all that it may have."""
    assert lowest == LIMITS.lowest(running)


def test_nothing_is_free_beyond_the_limit() -> None:
    """More may run than a lane allows itself: what a higher lane took is not owed back."""
    assert 0 == LIMITS.free(Lane.BULK, 23)
    assert 1 == LIMITS.free(Lane.VERY_HIGH, 23)


def test_limits_are_read_as_they_are_written() -> None:
    """The text of limits gives the same limits."""
    assert LIMITS == LaneLimits.parse(str(LIMITS))


@pytest.mark.parametrize("text", ["", "20", "1,2,3,4", "a,b,c,d,e", "5,4,3,2,0", "1,2,1,1,1"])
def test_senseless_limits_are_refused(text: str) -> None:
    """A lane without a transaction would never send, one above its better would overtake it."""
    with pytest.raises(InvalidLaneLimits, match=text or "''"):
        LaneLimits.parse(text)


@pytest.mark.parametrize(("rate", "expected"), [(0.0, 0), (24.0, 0), (500.0, 20), (1e9, 200)])
def test_little_is_held_ahead(rate: float, expected: int) -> None:
    """Only what starts within the time given, and never more than the most."""
    assert expected == worth_holding(rate, 0.04, 200)
