"""When a deferred delivery is tried again."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core.next_action import MINIMUM_TRIES, wait_for_next_try
from posthouse.mail.lane import Lane


def wait(lane: Lane, tries: int, jitter: float = 0.5) -> float:
    """Seconds until the next try, long before anything expires."""
    found = wait_for_next_try(lane, tries, expired=False, jitter=jitter)
    assert found is not None
    return found.total_seconds()


@pytest.mark.parametrize(
    ("lane", "first", "last"),
    [
        (Lane.VERY_HIGH, 15, 1800),
        (Lane.HIGH, 15, 1800),
        (Lane.NORMAL, 60, 7200),
        (Lane.LOW, 360, 14400),
        (Lane.BULK, 360, 14400),
    ],
)
def test_first_and_last_wait_of_each_lane(lane: Lane, first: int, last: int) -> None:
    assert first == wait(lane, 1)
    assert last == wait(lane, 1000)


@pytest.mark.parametrize("lane", Lane)
def test_waits_never_shrink(lane: Lane) -> None:
    assert all(wait(lane, tries) <= wait(lane, tries + 1) for tries in range(1, 20))


def test_a_higher_lane_never_waits_longer() -> None:
    for tries in range(1, 20):
        assert all(wait(high, tries) <= wait(low, tries) for high, low in pairwise(Lane))


@pytest.mark.parametrize("lane", Lane)
def test_a_greylist_of_five_minutes_is_met_within_fifteen(lane: Lane) -> None:
    tries, passed = 0, 0.0
    while passed < 300:
        tries += 1
        passed += wait(lane, tries, jitter=0.999)

    assert passed < 900


@given(
    tries=st.integers(1, 100),
    expired=st.booleans(),
    jitter=st.floats(0, 1, exclude_max=True),
    lane=st.sampled_from(Lane),
)
def test_given_up_only_when_old_and_really_tried(
    tries: int, expired: bool, jitter: float, lane: Lane
) -> None:
    wait = wait_for_next_try(lane, tries, expired=expired, jitter=jitter)

    assert (wait is None) == (expired and tries >= MINIMUM_TRIES)
    if wait is not None:
        assert timedelta() < wait <= timedelta(hours=5)


def test_jitter_spreads_by_a_tenth_either_way() -> None:
    assert wait(Lane.NORMAL, 1, jitter=0) == pytest.approx(54)
    assert wait(Lane.NORMAL, 1, jitter=0.5) == pytest.approx(60)
    assert wait(Lane.NORMAL, 1, jitter=1) == pytest.approx(66)
