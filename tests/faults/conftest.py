"""Relays to be struck, in one process and in many."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from chaos.conftest import split
from chaos.relay import Onebox, Split
from faults.apart import Apart, apart
from faults.database import Brokerless

__all__ = ["relay", "split"]


@pytest_asyncio.fixture(params=["onebox", "split"])
async def relay(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Onebox | Split]:
    """A relay in one process, and one in many; both find their work without a broker."""
    made: Onebox | Split = Onebox(tmp_path) if request.param == "onebox" else Brokerless(tmp_path)
    try:
        await made.start()
        yield made
    finally:
        await made.close()


@pytest_asyncio.fixture
async def cut_off(tmp_path: Path) -> AsyncIterator[Apart]:
    """A relay that can be cut off from anybody it speaks to."""
    with apart(tmp_path) as made:
        try:
            await made.start()
            yield made
        finally:
            await made.close()
