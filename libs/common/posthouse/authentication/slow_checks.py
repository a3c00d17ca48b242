"""Secrets that are kept by scrypt are compared off the event loop (RULES X03).

One after the other for clients that are known, and so for all others: 16 MiB each. A flood of
logins from elsewhere makes no known client wait, and the threads give way to the event loop.
"""

import asyncio
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from posthouse.authentication.login_limits import LIMITED, put, take_one
from posthouse.mail.slow_hash import slow_matches

_REMEMBERED_SECONDS = 30.0
_REMEMBERED = 10_000
_MOST_WAITING = 64  # in each line
_MOST_OF_A_USER = 4  # that differ, so that no user fills a line
_NICE = 5


class Question(NamedTuple):
    """Whether both are of the same secret."""

    keyed: bytes  # `posthouse.mail.secret.hash_secret` of what was given
    stored: bytes


class TooManyChecks(Exception):
    """There is no room for another one now."""


class SlowChecks:
    """Compares, and remembers for half a minute what was right.

    So a client that logs in for each message does not pay each time.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """*clock* tells monotonic seconds."""
        self._clock = clock
        self._right: dict[Question, float] = {}  # each until then
        self._lines = {known: _Line() for known in (True, False)}

    def remembers(self, question: Question) -> bool:
        """Whether it was found right lately."""
        return self._clock() < self._right.get(question, 0.0)

    async def is_right(self, username: str, question: Question, *, known: bool) -> bool:
        """Find out; raises TooManyChecks. *known*: so is the client that gave it."""
        is_right = await self._lines[known].ask(username, question)
        if is_right:
            put(self._right, question, self._clock() + _REMEMBERED_SECONDS, _REMEMBERED)
        return is_right

    async def as_long(self, username: str, given: bytes, *, known: bool) -> None:
        """Wait as long as a check would that began now, or raise TooManyChecks as it would.

        For a login that fails without one: neither its answer nor the time tells the difference.
        *given*: what it gave, which is one check however often it comes at one time.
        """
        await self._lines[known].pass_by(username, given)


@dataclass(slots=True)
class _Check:
    done: asyncio.Future[bool]
    waiting: int = 0  # clients


class _Line:
    """Checks one after the other."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "secret-check", initializer=_give_way)
        self._seconds = 0.0  # that the latest one took
        self._checks: dict[Question, _Check] = {}
        self._passing: Counter[tuple[str, bytes]] = Counter()
        self._by_user: Counter[str] = Counter()  # of both

    async def ask(self, username: str, question: Question) -> bool:
        """The answer; clients that ask the same at one time have one check."""
        check = self._checks.get(question)
        if check is None or check.done.cancelled():
            check = self._start(username, question)
        check.waiting += 1
        try:
            return await asyncio.shield(check.done)
        finally:
            check.waiting -= 1
            if not check.waiting:  # all of them are gone
                check.done.cancel()

    def _start(self, username: str, question: Question) -> _Check:
        self._count(username)
        done = asyncio.get_running_loop().run_in_executor(self._thread, self._compare, question)
        check = self._checks[question] = _Check(done)
        done.add_done_callback(lambda _: self._end(username, question, check))
        return check

    def _compare(self, question: Question) -> bool:
        began = time.perf_counter()
        is_right = slow_matches(*question)
        self._seconds = time.perf_counter() - began
        return is_right

    def _end(self, username: str, question: Question, check: _Check) -> None:
        if self._checks.get(question) is check:  # else it was given up, and asked again
            del self._checks[question]
        take_one(self._by_user, username)

    async def pass_by(self, username: str, given: bytes) -> None:
        """Wait as `ask` does, without a place among the checks."""
        if (username, given) not in self._passing:
            self._count(username)
        self._passing[username, given] += 1
        try:
            if self._checks:
                await asyncio.wait([next(reversed(self._checks.values())).done])
            if self._seconds:
                await asyncio.sleep(self._seconds)
        finally:
            take_one(self._passing, (username, given))
            if (username, given) not in self._passing:
                take_one(self._by_user, username)

    def _count(self, username: str) -> None:
        """Count one more of the user, if there is room for it."""
        if len(self._checks) >= _MOST_WAITING or self._by_user[username] >= _MOST_OF_A_USER:
            LIMITED.labels("checks").inc()
            raise TooManyChecks
        self._by_user[username] += 1


def _give_way() -> None:
    """Linux has a priority for each thread; some sandboxes do not let it be set."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
