"""Large messages of lower lanes take turns to be written: mail of lanes 1 and 2 does not.

A commit is on disk when all that was written before it is. So a small message waits for the large
ones that are on their way there, whichever process writes them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from ingest.account_turns import AccountTurns
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Submission
from posthouse.store import StoreUnavailable
from posthouse.store.deliveries import LARGE_OCTETS

# So many octets go together, as in one batch of `posthouse.store.group_commit`; a message alone may
# have more.
_TOGETHER_OCTETS = 2 << 20
# While mail of lanes 1 and 2 comes in, the next turn begins after so many times what one took, but
# after this many seconds at most.
_PAUSE_TURNS, _MOST_SECONDS = 2.0, 1.0


class LargeMail:
    """The turns of one process: two megabytes at a time, and each account in its turn."""

    def __init__(self, is_high_mail: Callable[[], Awaitable[bool]]) -> None:
        """*is_high_mail* tells whether any process has accepted mail of lane 1 or 2 just now."""
        self._is_high_mail = is_high_mail
        self._now = asyncio.get_running_loop().time
        self._accounts = AccountTurns()
        self._turn = asyncio.Lock()
        self._paused_until = 0.0
        self._octets = 0  # that are being written
        self._written = asyncio.Event()  # some of them
        self._failure: StoreUnavailable | None = None  # the last one

    @asynccontextmanager
    async def turn(self, *messages: Submission) -> AsyncIterator[None]:
        """Wait until *messages* of one account may be written, which has to be done meanwhile.

        Raises what *is_high_mail* raises. When a message could not be written, those that wait for
        their turn are not either: a store that fails slowly would let each of them wait for it.
        """
        lane, octets = min(one.lane for one in messages), sum(one.size for one in messages)
        if lane <= Lane.HIGH or octets <= LARGE_OCTETS:
            yield
            return
        before = self._failure
        async with self._accounts.of(messages[0].account_id), self._turn:
            await self._wait_for_room(octets)
            if self._failure and self._failure is not before:
                raise _copy(self._failure)
            with self._noting_failure():
                await self._pause()
            self._octets += octets
        began = self._now()
        try:
            with self._noting_failure():
                yield
        finally:
            ended = self._now()
            self._paused_until = ended + min(_PAUSE_TURNS * (ended - began), _MOST_SECONDS)
            self._octets -= octets
            self._written.set()

    @contextmanager
    def _noting_failure(self) -> Iterator[None]:
        try:
            yield
        except StoreUnavailable as error:
            self._failure = _copy(error)
            raise

    async def _wait_for_room(self, octets: int) -> None:
        while self._octets and self._octets + octets > _TOGETHER_OCTETS:
            self._written.clear()
            await self._written.wait()

    async def _pause(self) -> None:
        pause = self._paused_until - self._now()
        if pause > 0 and await self._is_high_mail():
            await asyncio.sleep(pause)


def _copy(error: StoreUnavailable) -> StoreUnavailable:
    """*error* without its traceback, which would keep the message in memory."""
    return type(error)(str(error))
