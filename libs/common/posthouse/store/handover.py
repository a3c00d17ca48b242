"""Work that one step hands to the next in the same process, claimed for it already.

Where nothing else waits, a claim would only bring back what this process has just written. So once
a claim has taken all there was, the way is open: items are written as claimed from the start and
passed on in memory, without a hint and without a statement, for as long as the next step has room.
The first one that finds none is written as due, which closes the way: everybody goes back to
claiming, and nothing that is due waits behind what is handed over. If the process dies, what it
held comes due again when the lease runs out, as with any claim.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Handover(Generic[T]):
    """From the step before to the one that takes; nothing passes where nobody takes."""

    def __init__(self) -> None:
        self._take: Callable[[Sequence[T]], None] | None = None
        self._room: Callable[[], int] = lambda: 0
        self._open = False
        self._closed = 0  # how often
        self._on_the_way = 0
        self._arrived = asyncio.Event()

    def taken_by(self, take: Callable[[Sequence[T]], None], *, room: Callable[[], int]) -> None:
        """Hand over to *take*, which neither waits nor raises, as many as there is *room* for."""
        self._take, self._room = take, room

    async def close(self) -> None:
        """Let nothing more set out; returns when what was on its way has been handed over."""
        self._room, self._open = lambda: 0, False
        while self._on_the_way:
            self._arrived.clear()
            await self._arrived.wait()
        self._take = None

    def asking(self) -> int:
        """What `claimed` is to be told of the moment when the claim was made."""
        return self._closed

    def claimed(self, asked: int, *, more: bool) -> None:
        """A claim was made; *more*: it may have left something.

        If something was written as due since it was made, the claim may not have seen it.
        """
        self._open = not more and asked == self._closed and self._take is not None

    @contextmanager
    def drawn(self, wanted: int) -> Iterator[int]:
        """How many of *wanted* items to write as claimed; `put` them before this ends."""
        count = min(wanted, max(0, self._room() - self._on_the_way)) if self._open else 0
        self._on_the_way += count
        if count < wanted:
            self._shut()
        try:
            yield count
        finally:
            self._on_the_way -= count
            self._arrived.set()
            if count < wanted:
                self._shut()  # again: a claim made meanwhile has not seen what is committed now

    def _shut(self) -> None:
        self._open = False
        self._closed += 1

    def put(self, items: Sequence[T]) -> None:
        """Pass on what is committed."""
        if items and self._take:
            self._take(items)
