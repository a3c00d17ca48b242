"""A relay in many processes, as it is deployed when one is not enough."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from chaos.relay import Split
from servers.rabbitmq import RabbitServer

# Kept busy by a slow receiver long before by the machine: what is measured is order, not speed.
_LANE_LIMITS = "8,6,4,4,4"


@pytest_asyncio.fixture
async def three_dispatchers(rabbitmq_server: RabbitServer, tmp_path: Path) -> AsyncIterator[Split]:
    """Split, with three dispatchers of four bulk transactions each."""
    settings = {"POSTHOUSE_LANE_LIMITS": _LANE_LIMITS}
    relay = Split(tmp_path, rabbitmq_server.url, None, dispatchers=3, settings=settings)
    try:
        await relay.start()
        yield relay
    finally:
        await relay.close()
