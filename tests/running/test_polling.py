"""How often a worker looks for work without having heard a hint."""

from posthouse.running.waiting import Polling

SOMETHING, NOTHING = True, False


def waits(polling: Polling, found: list[bool]) -> list[float]:
    """The wait after each look."""
    seen = []
    for one in found:
        polling.adapt(found=one)
        seen.append(polling.seconds)
    return seen


def test_after_work_was_found_the_next_look_comes_soon() -> None:
    assert [0.1] * 3 == waits(Polling(), [SOMETHING] * 3)


def test_the_wait_doubles_up_to_a_second_while_nothing_is_found() -> None:
    assert [0.2, 0.4, 0.8, 1.0, 1.0] == waits(Polling(), [NOTHING] * 5)


def test_work_that_is_found_makes_the_waits_short_again() -> None:
    assert [0.2, 0.4, 0.1, 0.2] == waits(Polling(), [NOTHING, NOTHING, SOMETHING, NOTHING])


def test_a_wait_longer_than_a_second_stays_as_it_is() -> None:
    assert [60, 60] == waits(Polling(60), [NOTHING, SOMETHING])
