"""The stores over a fresh database."""

from collections.abc import AsyncIterator

import pytest_asyncio

from servers.stores import Stores, open_stores


@pytest_asyncio.fixture
async def stores(database: str) -> AsyncIterator[Stores]:
    """Every store, with nothing kept in memory and no hold between lanes."""
    async with open_stores(database) as opened:
        yield opened
