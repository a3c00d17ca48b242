"""How often a key may ask, and how much at one time."""

from uuid import UUID

import pytest

from console.key_limits import KeyLimits
from posthouse.http.problem import Problem

KEY, OTHER = UUID(int=1), UUID(int=2)


class Clock:
    """Stands until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        """As a clock of monotonic seconds."""
        return self.now


def ask(limits: KeyLimits, key: UUID = KEY) -> str:
    """What a request of *key* that ends at once hears."""
    try:
        with limits.counted(key):
            return "let in"
    except Problem as problem:
        return dict(problem.fields)["retry-after"]


def test_requests_come_back_evenly() -> None:
    clock = Clock()
    limits = KeyLimits(clock, at_once=1, a_minute=6)
    assert [ask(limits) for _ in range(7)] == ["let in"] * 6 + ["10"]
    assert ask(limits, OTHER) == "let in"
    clock.now += 9
    assert ask(limits) == "1"
    clock.now += 1
    assert [ask(limits) for _ in range(2)] == ["let in", "10"]
    clock.now += 3600
    assert [ask(limits) for _ in range(7)] == ["let in"] * 6 + ["10"]


def test_those_that_are_being_answered_are_counted_until_they_are() -> None:
    limits = KeyLimits(Clock(), at_once=2, a_minute=100)
    with limits.counted(KEY), limits.counted(KEY):
        assert (ask(limits), ask(limits, OTHER)) == ("1", "let in")
    assert ask(limits) == "let in"
    with pytest.raises(ZeroDivisionError), limits.counted(KEY):
        raise ZeroDivisionError
    with limits.counted(KEY), limits.counted(KEY):
        assert ask(limits) == "1"
