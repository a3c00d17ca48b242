"""Where links lead, from memory: asked for once, served without the database, and limited."""

import asyncio

import pytest

from posthouse.store import StoreUnavailable
from tracking.link_targets import LinkTargets

SET = b"0123456789"


class Finder:
    """Sets in a dictionary; a look-up waits until it may go on."""

    def __init__(self) -> None:
        self.sets: dict[bytes, tuple[str, ...]] = {
            SET: ("https://a.example/", "https://b.example/")
        }
        self.asked: list[bytes] = []
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.is_away = False
        self.now = 100.0

    async def find(self, link_set: bytes) -> tuple[str, ...] | None:
        """The targets, once it may go on."""
        self.asked.append(link_set)
        await self.go_on.wait()
        if self.is_away:
            raise StoreUnavailable("away")
        return self.sets.get(link_set)

    def targets(self, most_octets: int = 1 << 20) -> LinkTargets:
        """What is to be tested."""
        return LinkTargets(self.find, lambda: self.now, most_octets=most_octets)


async def test_many_who_ask_at_once_ask_the_database_once() -> None:
    finder = Finder()
    targets = finder.targets()
    finder.go_on.clear()
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(targets.target(SET, n % 3)) for n in range(9)]
        await asyncio.sleep(0)
        finder.go_on.set()
    assert ["https://a.example/", "https://b.example/", None] * 3 == [t.result() for t in waiting]
    assert [SET] == finder.asked


async def test_what_is_known_is_served_while_the_database_is_away() -> None:
    finder = Finder()
    targets = finder.targets()
    await targets.target(SET, 0)
    finder.is_away = True
    assert "https://b.example/" == await targets.target(SET, 1)
    for _ in range(2):  # a failure is no answer that is kept
        with pytest.raises(StoreUnavailable):
            await targets.target(b"other", 0)
    finder.is_away = False
    finder.sets[b"other"] = ("https://c.example/",)
    assert "https://c.example/" == await targets.target(b"other", 0)


async def test_all_who_wait_hear_of_a_failure_and_of_a_look_up_that_was_given_up() -> None:
    finder = Finder()
    targets = finder.targets()
    finder.go_on.clear()
    first = asyncio.create_task(targets.target(SET, 0))
    second = asyncio.create_task(targets.target(SET, 0))
    await asyncio.sleep(0)
    first.cancel()
    found = await asyncio.gather(first, second, return_exceptions=True)
    assert [asyncio.CancelledError, StoreUnavailable] == [type(each) for each in found]
    finder.go_on.set()
    assert "https://a.example/" == await targets.target(SET, 0)


async def test_what_is_unknown_is_asked_for_again_after_five_seconds() -> None:
    finder = Finder()
    targets = finder.targets()
    for _ in range(3):
        assert await targets.target(b"new", 0) is None
    assert [b"new"] == finder.asked
    finder.sets[b"new"] = ("https://new.example/",)
    finder.now += 5.0
    assert "https://new.example/" == await targets.target(b"new", 0)


async def test_the_least_used_sets_are_forgotten() -> None:
    finder = Finder()
    finder.sets = {bytes([n]): ("https://a.example/",) for n in range(4)}
    targets = finder.targets(most_octets=1_800)
    for n in (0, 1, 2, 0, 3, 0, 1):  # the set 1 was forgotten for 3, and 2 for 1
        await targets.target(bytes([n]), 0)
    assert [0, 1, 2, 3, 1] == [asked[0] for asked in finder.asked]
