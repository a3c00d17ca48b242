"""Work passed in memory to the next step of the same process, already claimed for it.

When nothing else is due, a claim would only read back what this process has just written. So once
a claim has left nothing, the handoff opens: items are written as claimed from the start and passed
on in memory, without a hint and without a claim, for as long as the next step has room. The first
item without room is written as due and closes the handoff: the next step claims again, and nothing
that is due waits behind items that are passed on. If the process dies, its items come due again
when their lease runs out, as after any claim.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class DirectHandoff(Generic[T]):
    """From the step that writes to the one that subscribes; closed until one does."""

    def __init__(self) -> None:
        self._take: Callable[[Sequence[T]], None] | None = None
        self._room: Callable[[], int] = lambda: 0
        self._open = False
        self._closings = 0
        self._reserved = 0
        self._published = asyncio.Event()

    def subscribe(self, take: Callable[[Sequence[T]], None], *, room: Callable[[], int]) -> None:
        """Pass items to *take*, which neither waits nor raises, as many as there is *room* for."""
        self._take, self._room = take, room

    async def close(self) -> None:
        """Reserve nothing more; return when what was reserved has been published."""
        self._room, self._open = lambda: 0, False
        while self._reserved:
            self._published.clear()
            await self._published.wait()
        self._take = None

    def claim_begins(self) -> int:
        """A token for `claim_ends`."""
        return self._closings

    def claim_ends(self, token: int, *, more: bool) -> None:
        """Open the handoff, unless something may be due: *more* says that the claim left some.

        The claim may not have seen rows that were written as due since it began.
        """
        self._open = not more and token == self._closings and self._take is not None

    @contextmanager
    def reserve(self, wanted: int) -> Iterator[int]:
        """How many of *wanted* items to write as claimed; `publish` them before this ends."""
        count = min(wanted, max(0, self._room() - self._reserved)) if self._open else 0
        self._reserved += count
        if count < wanted:
            self.shut()
        try:
            yield count
        finally:
            self._reserved -= count
            self._published.set()
            if count < wanted:
                self.shut()  # a claim made meanwhile has not seen what is committed now

    def shut(self) -> None:
        """Something is due that was not reserved: only a claim brings it."""
        self._open = False
        self._closings += 1

    def publish(self, items: Sequence[T]) -> None:
        """Pass on items that are committed."""
        if items and self._take:
            self._take(items)
