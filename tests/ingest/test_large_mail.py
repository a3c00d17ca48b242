"""Large messages of lower lanes take turns to be written, and leave time to lanes 1 and 2."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast
from uuid import UUID

import pytest

from ingest.large_mail import LargeMail
from ingest.wiring import _Intake
from posthouse.broker.embedded import EmbeddedBroker
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Submission
from posthouse.mail.terms import Acceptance, Committed
from posthouse.store import StoreFull
from posthouse.store.database_watchdog import DatabaseWatchdog
from posthouse.store.deliveries import LARGE_OCTETS
from servers.patience import on_this_machine, until
from servers.stores import ACCOUNT, a_submission

Leap: TypeAlias = Callable[[float], None]
TOGETHER = 2 << 20  # octets
BODY = b"x" * TOGETHER  # and the header


@dataclass
class Store:
    """Writes one message each time that it is told to go on."""

    writing: list[Submission] = field(default_factory=list)
    go_on: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    is_high_mail: bool = False
    asked: int = 0  # for high mail
    failure: Exception | None = None

    async def accept(self, submission: Submission) -> Acceptance:
        """Write it."""
        self.writing.append(submission)
        try:
            await self.go_on.acquire()
        finally:
            self.writing.remove(submission)
        if self.failure:
            raise self.failure
        return Committed(is_due=True)

    async def accept_together(self, submissions: Sequence[Submission]) -> Sequence[Acceptance]:
        """Write them."""
        self.writing += submissions
        await self.go_on.acquire()
        for one in submissions:
            self.writing.remove(one)
        return [Committed(is_due=True)] * len(submissions)

    async def has_high_mail(self) -> bool:
        """Whether there is some, as the test says."""
        self.asked += 1
        return self.is_high_mail


@pytest.fixture
async def store() -> Store:
    return Store()


@pytest.fixture
async def intake(store: Store) -> _Intake:
    """As it is built, but for the store; its database never falls silent."""
    watchdog = DatabaseWatchdog(cast("Any", None))
    large = LargeMail(store.has_high_mail)
    return _Intake(cast("Any", store), EmbeddedBroker(), watchdog, 12.0, large, lambda: True)


def accepting(
    intake: _Intake, lane: Lane, body: bytes = BODY, account: UUID = ACCOUNT
) -> "asyncio.Task[Acceptance]":
    """A message of *lane* that a client waits for."""
    return asyncio.create_task(intake.accept(a_submission(lane, body=body, account_id=account)))


async def turn_of_the_loop() -> None:
    """Let every task go on as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_only_one_is_written_at_a_time_and_all_are(store: Store, intake: _Intake) -> None:
    tasks = [accepting(intake, lane) for lane in (Lane.BULK, Lane.LOW, Lane.NORMAL)]
    for lane in (Lane.BULK, Lane.LOW, Lane.NORMAL):
        await until(lambda lane=lane: [s.lane for s in store.writing] == [lane])  # type: ignore[misc]
        store.go_on.release()
    assert 3 == len(await asyncio.gather(*tasks))


async def test_as_many_are_written_together_as_have_two_megabytes(
    store: Store, intake: _Intake
) -> None:
    tasks = [accepting(intake, Lane.BULK, BODY[: TOGETHER // 5]) for _ in range(9)]
    for ended, writing in enumerate((4, 4, 4, 4, 4, 4, 3, 2, 1)):
        await until(lambda writing=writing: len(store.writing) == writing)  # type: ignore[misc]
        await turn_of_the_loop()
        assert writing == len(store.writing)
        store.go_on.release()
        await until(lambda ended=ended: sum(t.done() for t in tasks) == ended + 1)  # type: ignore[misc]
    await asyncio.gather(*tasks)


async def test_accounts_take_turns(store: Store, intake: _Intake) -> None:
    """Who sends many waits for himself, and others only for the one whose turn is next."""
    many, one = UUID(int=1), UUID(int=2)
    tasks = [accepting(intake, Lane.BULK, account=many) for _ in range(4)]
    tasks.append(accepting(intake, Lane.BULK, account=one))
    written = []
    for _ in tasks:
        await until(lambda: len(store.writing) == 1)
        written.append(store.writing[0].account_id)
        store.go_on.release()
        await until(lambda: sum(task.done() for task in tasks) == len(written))
    assert [many, many, one, many, many] == written


async def test_messages_that_are_accepted_together_are_as_large_as_all_of_them(
    store: Store, intake: _Intake
) -> None:
    small = [a_submission(Lane.BULK, body=BODY[: LARGE_OCTETS // 2]) for _ in range(2)]
    before = accepting(intake, Lane.BULK)
    await turn_of_the_loop()
    together = asyncio.create_task(intake.accept_together(small))
    await turn_of_the_loop()
    assert 1 == len(store.writing)
    store.go_on.release()
    await until(lambda: len(store.writing) == 2)
    store.go_on.release()
    await asyncio.gather(before, together)


async def test_high_mail_and_small_mail_wait_for_no_turn(store: Store, intake: _Intake) -> None:
    tasks = [
        accepting(intake, Lane.BULK),
        accepting(intake, Lane.BULK),
        accepting(intake, Lane.HIGH),
        accepting(intake, Lane.VERY_HIGH),
        accepting(intake, Lane.BULK, b"small"),
    ]
    await turn_of_the_loop()
    assert [Lane.BULK, Lane.HIGH, Lane.VERY_HIGH, Lane.BULK] == [s.lane for s in store.writing]
    for _ in tasks:
        store.go_on.release()
    await asyncio.gather(*tasks)


async def test_while_high_mail_comes_in_the_next_turn_waits_twice_as_long_as_one_took(
    store: Store, intake: _Intake, leap: Leap
) -> None:
    store.is_high_mail = True
    first, second = accepting(intake, Lane.BULK), accepting(intake, Lane.BULK)
    await turn_of_the_loop()
    assert 0 == store.asked  # nothing was written before
    leap(0.4)
    store.go_on.release()
    await first
    await until(lambda: store.asked == 1)
    await turn_of_the_loop()
    assert [] == store.writing
    leap(0.8)
    await until(lambda: len(store.writing) == 1)
    store.go_on.release()
    await second


async def test_the_pause_ends_after_a_second(store: Store, intake: _Intake, leap: Leap) -> None:
    store.is_high_mail = True
    first, second = accepting(intake, Lane.BULK), accepting(intake, Lane.BULK)
    await turn_of_the_loop()
    leap(11.0)
    store.go_on.release()
    await first
    await until(lambda: store.asked == 1)
    leap(1.0)
    await until(lambda: len(store.writing) == 1)
    store.go_on.release()
    await second


async def test_without_high_mail_the_next_one_is_written_at_once(
    store: Store, intake: _Intake, leap: Leap
) -> None:
    first, second = accepting(intake, Lane.BULK), accepting(intake, Lane.BULK)
    await turn_of_the_loop()
    leap(11.0)
    store.go_on.release()
    await first
    await turn_of_the_loop()
    assert (1, 1) == (store.asked, len(store.writing))
    store.go_on.release()
    await second


async def test_the_time_to_commit_begins_with_the_turn(
    store: Store, intake: _Intake, leap: Leap
) -> None:
    """Else those at the end of a long line would be told that the store fails, and others too."""
    tasks = [accepting(intake, Lane.BULK) for _ in range(3)]
    for task in tasks:
        await until(lambda: len(store.writing) == 1)
        assert 1 == len(intake.watchdog.waiting)
        leap(11.0)
        store.go_on.release()
        await task


async def test_who_waits_behind_a_message_that_cannot_be_written_hears_it_too(
    store: Store, intake: _Intake
) -> None:
    """Else the last of them would hear it after as many times twelve seconds."""
    tasks = [accepting(intake, Lane.BULK, account=UUID(int=n % 2)) for n in range(5)]
    await turn_of_the_loop()
    store.failure = StoreFull("no room")
    store.go_on.release()
    async with asyncio.timeout(on_this_machine(10)):
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [StoreFull] * 5 == [type(result) for result in results]
    store.failure = None
    later = accepting(intake, Lane.BULK)
    store.go_on.release()
    await later


async def test_a_client_that_leaves_gives_up_its_turn(store: Store, intake: _Intake) -> None:
    first, second, third = (accepting(intake, lane) for lane in (Lane.BULK, Lane.LOW, Lane.NORMAL))
    await turn_of_the_loop()
    second.cancel()
    first.cancel()
    await until(lambda: [s.lane for s in store.writing] == [Lane.NORMAL])
    store.go_on.release()
    await third
