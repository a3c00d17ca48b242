"""A database, an endpoint, and a process between them."""

from collections.abc import AsyncIterator

import pytest_asyncio

from servers.stores import open_stores
from servers.webhook_sink import webhook_sink
from servers.webhooking import Webhooked


@pytest_asyncio.fixture
async def hooked(database: str) -> AsyncIterator[Webhooked]:
    async with open_stores(database) as stores, webhook_sink() as sink:
        yield Webhooked(stores, sink)
