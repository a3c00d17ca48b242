"""A cache of answers that are valid for some time each."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class TtlCache(Generic[Key, Value]):
    """Remembers values for their time to live; asks once for all who ask at the same time."""

    def __init__(
        self,
        *,
        most: int,
        shortest: float,
        longest: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._shortest = shortest
        self._longest = longest
        self._clock = clock
        self._known: dict[Key, tuple[float, Value]] = {}
        self._asked: dict[Key, asyncio.Event] = {}

    def known(self, key: Key) -> Value | None:
        """The value of *key*, if it is remembered."""
        known = self._known.get(key)
        return known[1] if known is not None and known[0] > self._clock() else None

    def doubt(self, key: Key, seconds: float) -> None:
        """Forget the value of *key* in *seconds* at the latest."""
        if (known := self._known.get(key)) is not None:
            self._known[key] = min(known[0], self._clock() + seconds), known[1]

    async def get(self, key: Key, ask: Callable[[Key], Awaitable[tuple[Value, float]]]) -> Value:
        """The value of *key*; *ask* gives it with its time to live in seconds."""
        while True:
            if (known := self.known(key)) is not None:
                return known
            asked = self._asked.get(key)
            if asked is None:
                return await self._ask(key, ask)
            # The caller that asks may be cancelled or fail; then one of those that waited asks.
            await asked.wait()

    async def _ask(self, key: Key, ask: Callable[[Key], Awaitable[tuple[Value, float]]]) -> Value:
        self._asked[key] = answered = asyncio.Event()
        try:
            value, seconds = await ask(key)
        finally:
            del self._asked[key]
            answered.set()
        self._known.pop(key, None)
        if len(self._known) >= self._most:
            # The one learnt first: close enough to the one to expire first.
            del self._known[next(iter(self._known))]
        seconds = min(max(seconds, self._shortest), self._longest)
        self._known[key] = (self._clock() + seconds, value)
        return value
