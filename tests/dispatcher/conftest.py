"""Which event loops the dispatcher's tests run on."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

_BOTH_LOOPS = {
    "test_broken_tls.py",
    "test_connection_pool.py",
    "test_large_messages.py",
    "test_lost_peers.py",
    "test_other_server.py",
    "test_smarthost.py",
}


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both for real connections: loops differ in when they write, pause and report a loss."""
    if item.path.name in _BOTH_LOOPS:
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}
