"""The console's API over a database of its own."""

from collections.abc import AsyncIterator

import pytest_asyncio

from servers.running_console import RunningConsole, running_console


@pytest_asyncio.fixture
async def console(database: str) -> AsyncIterator[RunningConsole]:
    """As `running_console`."""
    async with running_console(database) as running:
        yield running
