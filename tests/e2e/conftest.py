"""A relay in many processes, as it is deployed when one is not enough."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from chaos.relay import Split
from dispatcher.in_flight import LaneLimits
from servers.rabbitmq import RabbitServer

DISPATCHERS = 3
# Kept busy by a slow receiver long before by the machine: what is judged is order, not speed.
LANE_LIMITS = LaneLimits.parse("8,6,4,4,4")


@pytest_asyncio.fixture
async def three_dispatchers(rabbitmq_server: RabbitServer, tmp_path: Path) -> AsyncIterator[Split]:
    """Split, with three dispatchers of four bulk transactions each."""
    settings = {"POSTHOUSE_LANE_LIMITS": str(LANE_LIMITS)}
    relay = Split(tmp_path, rabbitmq_server.url, None, dispatchers=DISPATCHERS, settings=settings)
    try:
        await relay.start()
        yield relay
    finally:
        await relay.close()
