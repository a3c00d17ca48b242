"""Relays to strike, each ended when its tests are."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from chaos.relay import Onebox, Split
from servers.rabbitmq import RabbitServer
from servers.rabbitmq_container import ContainerNode
from servers.rabbitmq_private import PrivateNode


@pytest_asyncio.fixture
async def onebox(tmp_path: Path) -> AsyncIterator[Onebox]:
    """A relay in one process."""
    relay = Onebox(tmp_path)
    try:
        await relay.start()
        yield relay
    finally:
        await relay.close()


@pytest.fixture(scope="module")
def split(
    rabbitmq_server: RabbitServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Split]:
    """A relay in many processes, the same for all tests of a module."""
    node = rabbitmq_server if isinstance(rabbitmq_server, PrivateNode | ContainerNode) else None
    relay = Split(tmp_path_factory.mktemp("split"), rabbitmq_server.url, node)
    try:
        _run(relay.start())
        yield relay
    finally:
        _run(relay.close())


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run *work* on a loop of its own, without touching the one that tests run on."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(work)
