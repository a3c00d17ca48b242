"""A connection that is lost leaves nothing behind in memory, however often that happens."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self
from urllib.parse import urlsplit

import pytest

from posthouse.broker import Topic
from posthouse.broker.rabbitmq import RabbitMqBroker
from posthouse.mail.lane import Lane
from servers.patience import until

from .conftest import Ears, is_connected, running

ROUNDS = 12


class Wire:
    """A way to RabbitMQ that can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._far = host, port
        self._ends: set[asyncio.StreamWriter] = set()

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator[tuple[Self, str]]:
        """A wire, and the URL that leads over it."""
        parts = urlsplit(url)
        wire = cls(parts.hostname or "localhost", parts.port or 5672)
        async with await asyncio.start_server(wire._join, "127.0.0.1", 0) as server:
            near = server.sockets[0].getsockname()[1]
            user = parts.netloc.rpartition("@")[0]
            yield wire, parts._replace(netloc=f"{user}@127.0.0.1:{near}").geturl()
            wire.cut()

    def cut(self) -> None:
        """Reset every connection."""
        for end in self._ends:
            end.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._far)
        ends = {writer, far_writer}
        self._ends |= ends
        await asyncio.gather(_pass_on(reader, far_writer), _pass_on(far_reader, writer))
        self._ends -= ends


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while octets := await reader.read(65536):
            writer.write(octets)
    writer.close()


def objects() -> int:
    """How many there are in this process."""
    gc.collect()
    return len(gc.get_objects())


async def lose(broker: RabbitMqBroker, wire: Wire, ears: Ears) -> None:
    """Some losses more; returns when all works again."""
    for _ in range(ROUNDS):
        wire.cut()
        await until(lambda: not is_connected(broker))
        await until(lambda: is_connected(broker))
        ears.lanes.clear()
        broker.announce(Topic.SUBMISSIONS, Lane.NORMAL)
        await ears.hear(Lane.NORMAL)


@pytest.mark.rabbitmq
async def test_a_loss_leaves_nothing_in_memory(
    amqp_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither connections nor channels nor what waited on them: a hundred objects for each."""
    caplog.set_level(logging.CRITICAL)  # what was logged is kept, with the frames of its errors
    async with Wire.to(amqp_url) as (wire, url):
        broker = RabbitMqBroker(url)
        ears = Ears(broker)
        async with running(broker):
            await lose(broker, wire, ears)
            await asyncio.sleep(0.5)  # for most of what was cut to end
            before = objects()
            await lose(broker, wire, ears)
            # No more than what just happens to be under way.
            await until(lambda: objects() - before < 20 * ROUNDS)
