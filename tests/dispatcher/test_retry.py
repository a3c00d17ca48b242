"""When a deferred delivery is tried again."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core.retry import MINIMUM_TRIES, next_try
from posthouse.mail.lane import Lane

RECEIVED = datetime(2026, 1, 1, tzinfo=UTC)
TWO_DAYS = timedelta(days=2)


def wait(lane: Lane, tries: int, jitter: float = 0.5) -> float:
    """Seconds until the next try, long before anything expires."""
    at = next_try(
        lane,
        tries,
        received_at=RECEIVED,
        now=RECEIVED,
        jitter=jitter,
        give_up_after=TWO_DAYS,
    )
    assert at is not None
    return (at - RECEIVED).total_seconds()


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
    age=st.timedeltas(timedelta(), timedelta(days=400)),
    jitter=st.floats(0, 1, exclude_max=True),
    lane=st.sampled_from(Lane),
)
def test_given_up_only_when_old_and_really_tried(
    tries: int, age: timedelta, jitter: float, lane: Lane
) -> None:
    now = RECEIVED + age
    again = next_try(
        lane, tries, received_at=RECEIVED, now=now, jitter=jitter, give_up_after=TWO_DAYS
    )

    assert (again is None) == (age >= TWO_DAYS and tries >= MINIMUM_TRIES)
    if again is not None:
        assert now < again <= now + timedelta(hours=5)


def test_jitter_spreads_by_a_tenth_either_way() -> None:
    assert wait(Lane.NORMAL, 1, jitter=0) == pytest.approx(54)
    assert wait(Lane.NORMAL, 1, jitter=0.5) == pytest.approx(60)
    assert wait(Lane.NORMAL, 1, jitter=1) == pytest.approx(66)
