"""Many callers, one transaction: a write starts at once, and gathers while another runs."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

from posthouse.store.failure import StoreRefused

T = TypeVar("T")
R = TypeVar("R")

# Of a batch: while it is written it is in memory three times more.
_MOST_OCTETS = 2 << 20
# How long a batch that is smaller than the one before it waits for company.
_COMPANY_SECONDS = 0.003


class GroupCommit(Generic[T, R]):
    """Turns single items into batches; on an idle server none waits for another.

    *write* commits a batch and says what came of each item, in their order, or raises. When it
    raises StoreRefused, the items are written one by one, so that only the bad one fails.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        most_items: int,
        most_octets: int = _MOST_OCTETS,
        size: Callable[[T], int] = lambda _: 0,
        only_awaited: bool = False,
        gather_seconds: float = 0.0,
        enough: int | None = None,
    ) -> None:
        """*only_awaited*: drop what nobody waits for any more, because it will be brought again.

        *gather_seconds*: wait so long for company before each batch, if nobody in it is in a hurry
        and there are not *enough* yet.
        """
        self._write = write
        self._most_items = most_items
        self._most_octets = most_octets
        self._size = size
        self._writers = 0
        self._only_awaited = only_awaited
        self._gather_seconds = gather_seconds
        self._enough = enough or most_items
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._gathered = asyncio.Event()
        self._hurried = False  # one of those that wait is
        self._running: set[asyncio.Task[None]] = set()

    async def add(self, item: T, *, hurried: bool = False) -> R:
        """What came of *item* once it is committed; raises what the write raised.

        *hurried*: somebody is kept waiting by it. Then it does not wait for the batch that is being
        written either, but goes at once beside it, with whatever waits; no third one does.
        """
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._hurried = self._hurried or hurried
        if hurried or len(self._waiting) >= self._enough:
            self._gathered.set()
        self._start()
        return await future

    def _start(self) -> None:
        if self._writers < (2 if self._hurried else 1):
            self._writers += 1
            # Its errors go to the callers' futures; the set keeps it from being collected.
            task = asyncio.get_running_loop().create_task(self._drain())
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _drain(self) -> None:
        last = 0
        try:
            while self._waiting and (self._hurried or self._writers == 1):
                await self._gather(last)
                if batch := self._take():
                    await self._commit(batch)
                last = len(batch)
        finally:
            self._writers -= 1

    async def _gather(self, last: int) -> None:
        """Let company come, if as many as *last* time are not there yet.

        Those who just had their answer are probably back at once, clients with the next message,
        and a statement costs little more for twice as many. Who comes alone waits for nobody.
        """
        if self._hurried:
            return
        if self._gather_seconds:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._gather_seconds):
                    await self._gathered.wait()
        elif len(self._waiting) < last:
            await asyncio.sleep(_COMPANY_SECONDS)

    def _take(self) -> list[tuple[T, asyncio.Future[R]]]:
        self._gathered.clear()
        batch: list[tuple[T, asyncio.Future[R]]] = []
        octets = 0
        while self._waiting and len(batch) < self._most_items and octets < self._most_octets:
            entry = self._waiting.popleft()
            if self._only_awaited and entry[1].cancelled():
                continue
            octets += self._size(entry[0])
            batch.append(entry)
        self._hurried = self._hurried and bool(self._waiting)
        return batch

    async def _commit(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self._write([item for item, _ in batch])
        except StoreRefused as error:
            if len(batch) > 1:
                for entry in batch:
                    await self._commit([entry])
            else:
                _fail(batch, error)
        except BaseException as error:
            _fail(batch, error)
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _fail(batch: Sequence[tuple[object, "asyncio.Future[Any]"]], error: BaseException) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
