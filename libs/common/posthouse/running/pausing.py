"""Work that lets others go on meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")


async def pausing(items: Iterable[T], at_a_stretch: int) -> AsyncIterator[T]:
    """Each of *items*; the event loop turns after so many of them."""
    for number, item in enumerate(items, start=1):
        yield item
        if number % at_a_stretch == 0:
            await asyncio.sleep(0)
