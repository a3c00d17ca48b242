"""Many callers, one transaction: a batch is written at once, the next one collects meanwhile."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from posthouse.running.waiting import wait_for_event
from posthouse.store.failure import StoreRefused

T = TypeVar("T")
R = TypeVar("R")

# Limit of a batch: while it is written, three more copies of it are in memory.
_MOST_OCTETS = 2 << 20
# Of one with urgent items, unless one alone has more: nothing large goes with them.
_URGENT_OCTETS = 256 << 10
# If a batch is smaller than the previous one, it waits this long for more items.
_LINGER_SECONDS = 0.003


class GroupCommit(Generic[T, R]):
    """Collects single items into batches; on an idle server an item is written at once.

    *write* commits a batch and returns a result for each item, in their order, or raises. When it
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
        linger_seconds: float = 0.0,
        enough: int | None = None,
    ) -> None:
        """*only_awaited*: drop items whose caller gave up; they will be submitted again.

        *linger_seconds*: wait this long for more items before each batch, unless an item in it is
        urgent or there are *enough* already.
        """
        self._write = write
        self._most_items = most_items
        self._most_octets = most_octets
        self._size = size
        self._writers = 0
        self._only_awaited = only_awaited
        self._linger_seconds = linger_seconds
        self._enough = enough or most_items
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._urgent: deque[tuple[T, asyncio.Future[R]]] = deque()  # these go first
        self._complete = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    async def add(self, item: T, *, urgent: bool = False) -> R:
        """The result of *item* once it is committed; raises what the write raised.

        *urgent*: other mail waits for it. Then it does not wait for the batch that is being written
        but goes at once in a second one, before all others that wait; there is never a third.
        """
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        (self._urgent if urgent else self._waiting).append((item, future))
        if urgent or len(self._waiting) >= self._enough:
            self._complete.set()
        self._start()
        return await future

    def _start(self) -> None:
        if self._writers < (2 if self._urgent else 1):
            self._writers += 1
            # Without a parent: the stores have no `run` that could have a task group, and a caller
            # that gives up must not end a batch of others. Its errors go to the callers' futures;
            # the set keeps it from being collected.
            task = asyncio.get_running_loop().create_task(self._drain())
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _drain(self) -> None:
        last = 0
        try:
            while self._urgent or (self._waiting and self._writers == 1):
                await self._linger(last)
                if batch := self._take():
                    await self._commit(batch)
                last = len(batch)
        finally:
            self._writers -= 1

    async def _linger(self, last: int) -> None:
        """Wait a moment for more items, if there are fewer than in the *last* batch.

        Callers that just had their result probably come back at once, clients with the next
        message, and a statement for twice as many items costs little more.
        """
        if self._urgent:
            return
        if self._linger_seconds:
            await wait_for_event(self._complete, self._linger_seconds)
        elif len(self._waiting) < last:
            await asyncio.sleep(_LINGER_SECONDS)

    def _take(self) -> list[tuple[T, asyncio.Future[R]]]:
        self._complete.clear()
        batch: list[tuple[T, asyncio.Future[R]]] = []
        octets, is_urgent = 0, bool(self._urgent)
        while len(batch) < self._most_items and octets < self._most_octets:
            waiting = self._urgent or self._waiting
            if not waiting:
                break
            size = self._size(waiting[0][0])
            if is_urgent and batch and octets + size > _URGENT_OCTETS:
                break
            entry = waiting.popleft()
            if self._only_awaited and entry[1].cancelled():
                continue
            octets += size
            batch.append(entry)
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
