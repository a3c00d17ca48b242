"""The group commit: what is written together, and who hears about what."""

import asyncio
from collections.abc import Sequence

import pytest

from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.group_commit import GroupCommit
from servers.patience import on_this_machine


class Ledger:
    """Remembers what was written together; holds each write until let go, fails when told to."""

    def __init__(self) -> None:
        self.written: list[list[str]] = []
        self.underway: list[list[str]] = []
        self.go = asyncio.Event()
        self.failures: dict[str, Exception] = {}

    async def write(self, batch: Sequence[str]) -> list[str]:
        """All of *batch*, or none of it; each in capitals."""
        self.underway.append(list(batch))
        await self.go.wait()
        for item in batch:
            if item in self.failures:
                raise self.failures[item]
        self.written.append(list(batch))
        return [item.upper() for item in batch]


async def settle() -> None:
    """Let every task run until it waits for something."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


async def test_an_idle_one_writes_at_once(ledger: Ledger) -> None:
    commit = GroupCommit(ledger.write, most_items=100)
    ledger.go.set()
    assert await commit.add("a") == "A"
    assert await commit.add("b") == "B"
    assert ledger.written == [["a"], ["b"]]


async def test_what_comes_while_one_is_written_is_written_together(ledger: Ledger) -> None:
    commit = GroupCommit(ledger.write, most_items=100)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(commit.add("a"))
        await settle()
        for item in "bcd":
            tasks.create_task(commit.add(item))
        await settle()
        assert ledger.underway == [["a"]]
        ledger.go.set()
    assert ledger.written == [["a"], ["b", "c", "d"]]


@pytest.mark.usefixtures("timeless")
async def test_one_that_may_wait_writes_what_comes_meanwhile_in_one_batch(ledger: Ledger) -> None:
    commit = GroupCommit(ledger.write, most_items=100, linger_seconds=0.2)
    ledger.go.set()
    async with asyncio.TaskGroup() as tasks:
        for item in "abc":
            tasks.create_task(commit.add(item))
            await asyncio.sleep(0.01)
    assert ledger.written == [["a", "b", "c"]]


async def test_it_waits_for_no_more_when_one_is_in_a_hurry(ledger: Ledger) -> None:
    commit = GroupCommit(ledger.write, most_items=100, linger_seconds=3600)
    ledger.go.set()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(commit.add("a"))
        await settle()
        assert not ledger.underway
        tasks.create_task(commit.add("b", urgent=True))
        await settle()
        assert ledger.written == [["b", "a"]]
        slow = tasks.create_task(commit.add("c"))
        await settle()
        assert not slow.done()
        tasks.create_task(commit.add("d", urgent=True))
    assert ledger.written == [["b", "a"], ["d", "c"]]


async def test_one_in_a_hurry_goes_beside_the_batch_being_written(ledger: Ledger) -> None:
    """With what waits behind it; and no third batch beside the two."""
    commit = GroupCommit(ledger.write, most_items=100)
    async with asyncio.TaskGroup() as tasks:
        for item in ("a", "b", "c!", "d!", "e", "f"):
            tasks.create_task(commit.add(item, urgent=item.endswith("!")))
            await settle()
        assert ledger.underway == [["a"], ["c!", "b"]]
        ledger.go.set()
    assert ledger.underway == [["a"], ["c!", "b"], ["d!", "e", "f"]]


async def test_one_in_a_hurry_goes_before_those_that_wait_and_without_what_is_large(
    ledger: Ledger,
) -> None:
    """A flood of large mail delays no alert by more than the batch that is being written."""
    commit = GroupCommit(ledger.write, most_items=100, most_octets=1 << 20, size=len)
    large = ["x" * (1 << 20) for _ in range(5)]
    async with asyncio.TaskGroup() as tasks:
        for item in (*large, "small", "!", "!" * 300_000, "!!"):
            tasks.create_task(commit.add(item, urgent=item.startswith("!")))
            await settle()
        assert ledger.underway == [large[:1], ["!"]]
        ledger.go.set()
    assert ledger.underway == [
        *(large[:1], ["!"], ["!" * 300_000], ["!!"]),
        *(large[1:2], large[2:3], large[3:4], large[4:], ["small"]),
    ]


async def test_without_hurry_there_is_one_batch_at_a_time_again(ledger: Ledger) -> None:
    commit = GroupCommit(ledger.write, most_items=100)
    async with asyncio.TaskGroup() as tasks:
        for item in ("a", "b!", "c"):
            tasks.create_task(commit.add(item, urgent=item.endswith("!")))
            await settle()
        ledger.go.set()
        await settle()
        ledger.go.clear()
        for item in "de":
            tasks.create_task(commit.add(item))
            await settle()
        assert ledger.underway == [["a"], ["b!"], ["c"], ["d"]]
        ledger.go.set()
    assert ledger.underway == [["a"], ["b!"], ["c"], ["d"], ["e"]]


async def test_those_in_a_hurry_that_one_batch_does_not_hold_go_at_once(ledger: Ledger) -> None:
    commit = GroupCommit(ledger.write, most_items=2)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(commit.add("first"))
        await settle()
        for item in ("a", "b!", "c!", "d!"):
            tasks.create_task(commit.add(item, urgent=item.endswith("!")))
        await settle()
        assert ledger.underway == [["first"], ["b!", "c!"]]
        ledger.go.set()
    assert ledger.underway == [["first"], ["b!", "c!"], ["d!", "a"]]


async def test_those_in_a_hurry_wait_for_no_company_in_the_next_batch_either(
    ledger: Ledger,
) -> None:
    commit = GroupCommit(ledger.write, most_items=2, linger_seconds=3600)
    async with asyncio.TaskGroup() as tasks:
        for item in ("a", "b", "c!", "d!", "e!"):
            tasks.create_task(commit.add(item, urgent=item.endswith("!")))
            await settle()
        assert ledger.underway == [["a", "b"], ["c!"]]
        ledger.go.set()
        async with asyncio.timeout(on_this_machine(5)):
            while len(ledger.written) < 3:
                await settle()
    assert ledger.underway == [["a", "b"], ["c!"], ["d!", "e!"]]


async def test_it_waits_for_no_more_when_there_are_enough(ledger: Ledger) -> None:
    commit = GroupCommit(ledger.write, most_items=100, linger_seconds=3600, enough=2)
    ledger.go.set()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(commit.add("a"))
        await settle()
        assert not ledger.underway
        tasks.create_task(commit.add("b"))
        await settle()
        assert ledger.written == [["a", "b"]]
        ledger.go.clear()
        for item in "cdefg":
            tasks.create_task(commit.add(item))
            await settle()
        ledger.go.set()  # what came while that was written has gathered already
    assert ledger.written == [["a", "b"], ["c", "d"], ["e", "f", "g"]]


async def test_a_smaller_batch_waits_for_those_who_just_had_their_answer(ledger: Ledger) -> None:
    """Clients in two groups, each written while the other waits, become one group."""
    commit = GroupCommit(ledger.write, most_items=100)

    async def twice(item: str) -> None:
        await commit.add(item)
        await commit.add(f"{item}2")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(commit.add("alone"))
        await settle()
        for item in "abc":
            tasks.create_task(twice(item))
        await settle()
        ledger.go.set()  # for the first write only
        ledger.go.clear()
        await settle()
        tasks.create_task(commit.add("late"))
        await settle()
        ledger.go.set()
    assert ledger.written[:2] == [["alone"], ["a", "b", "c"]]
    assert sorted(ledger.written[2]) == ["a2", "b2", "c2", "late"]


async def test_no_batch_exceeds_its_bounds(ledger: Ledger) -> None:
    """Neither in items nor, once one has reached them, in octets."""
    commit = GroupCommit(ledger.write, most_items=3, most_octets=10, size=len)
    async with asyncio.TaskGroup() as tasks:
        for item in ("first", "a", "b", "c", "d", "x" * 9, "yy", "z" * 50, "e"):
            tasks.create_task(commit.add(item))
            await settle()
        ledger.go.set()
    assert ledger.written == [
        ["first"], ["a", "b", "c"], ["d", "x" * 9], ["yy", "z" * 50], ["e"],
    ]  # fmt: skip


async def test_one_that_is_refused_fails_alone(ledger: Ledger) -> None:
    ledger.failures["bad"] = StoreRefused("never")
    commit = GroupCommit(ledger.write, most_items=100)
    tasks = [asyncio.ensure_future(commit.add(item)) for item in ("first", "a", "bad", "b")]
    await settle()
    ledger.go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert ["FIRST", "A", ledger.failures["bad"], "B"] == results
    assert ledger.written == [["first"], ["a"], ["b"]]


async def test_a_store_that_is_away_is_told_to_the_batch_and_to_no_other(ledger: Ledger) -> None:
    ledger.failures["b"] = StoreUnavailable("away")
    commit = GroupCommit(ledger.write, most_items=2)
    tasks = [asyncio.ensure_future(commit.add(item)) for item in "abcde"]
    await settle()
    ledger.go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    away = ledger.failures["b"]
    assert [away, away, "C", "D", "E"] == results
    await commit.add("later")
    assert ledger.written == [["c", "d"], ["e"], ["later"]]


@pytest.mark.parametrize("moment", ["waiting", "underway"])
async def test_a_caller_that_gives_up_takes_no_other_along(ledger: Ledger, moment: str) -> None:
    """Its own item is written nevertheless: a result without a waiting caller is still true."""
    commit = GroupCommit(ledger.write, most_items=100)
    first = asyncio.ensure_future(commit.add("first"))
    await settle()
    if moment == "underway":
        ledger.go.set()
        await first
        ledger.go.clear()
    tasks = [asyncio.ensure_future(commit.add(item)) for item in "abc"]
    await settle()
    tasks[1 if moment == "waiting" else 0].cancel()
    ledger.go.set()
    results = await asyncio.gather(first, *tasks, return_exceptions=True)
    assert sum(isinstance(result, asyncio.CancelledError) for result in results) == 1
    assert sum(isinstance(result, str) for result in results) == 3
    assert {"a", "b", "c", "first"} == {item for batch in ledger.written for item in batch}


async def test_what_nobody_waits_for_any_more_is_not_written(ledger: Ledger) -> None:
    """A client that hung up brings its message again: it must not be there twice."""
    commit = GroupCommit(ledger.write, most_items=100, only_awaited=True)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(commit.add("a"))
        await settle()
        left = tasks.create_task(commit.add("b"))
        tasks.create_task(commit.add("c"))
        await settle()
        left.cancel()
        await settle()
        ledger.go.set()
    assert ledger.written == [["a"], ["c"]]
