"""Any number of workers have room in the database that they share."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from chaos.knock import knock
from chaos.relay import Onebox

WORKERS, LOGINS = 8, 80


@pytest_asyncio.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Onebox]:
    """A relay as on a machine with eight cores."""
    settings = {
        "POSTHOUSE_WORKERS": str(WORKERS),
        "POSTHOUSE_INGEST_CONNECTIONS_PER_ADDRESS": str(LOGINS),
    }
    made = Onebox(tmp_path, settings)
    try:
        await made.start()
        yield made
    finally:
        await made.close()


async def test_eighty_clients_at_once_are_all_served(relay: Onebox) -> None:
    replies = await asyncio.gather(
        *(knock(relay.customer.normal, 60, number=number) for number in range(LOGINS))
    )

    assert ["250"] * LOGINS == [reply[:3] for reply in replies]
    assert await relay.program.is_ready()
