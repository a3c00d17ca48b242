"""How often to look for work that nobody announced."""

from posthouse.running.polling import Polling

SOMETHING, NOTHING = True, False


def waits(polling: Polling, found: list[bool]) -> list[float]:
    """The wait after each look."""
    seen = []
    for one in found:
        polling.looked(found=one)
        seen.append(polling.seconds)
    return seen


def test_who_finds_something_looks_again_soon() -> None:
    assert [0.1] * 3 == waits(Polling(), [SOMETHING] * 3)


def test_who_finds_nothing_looks_ever_less_often_but_once_a_second() -> None:
    assert [0.2, 0.4, 0.8, 1.0, 1.0] == waits(Polling(), [NOTHING] * 5)


def test_one_find_makes_it_quick_again() -> None:
    assert [0.2, 0.4, 0.1, 0.2] == waits(Polling(), [NOTHING, NOTHING, SOMETHING, NOTHING])


def test_what_begins_slower_than_that_stays_as_it_is() -> None:
    assert [60, 60] == waits(Polling(60), [NOTHING, SOMETHING])
