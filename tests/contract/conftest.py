"""The two brokers: what one process announces, and another one hears."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from posthouse.broker import Broker, BrokerState, Topic
from posthouse.broker.embedded import EmbeddedBroker
from posthouse.broker.rabbitmq import RabbitMqBroker
from posthouse.mail.lane import Lane
from servers.patience import until


class Ears:
    """A listener that remembers what it heard, in order."""

    def __init__(self, broker: Broker, topic: Topic = Topic.SUBMISSIONS) -> None:
        self.lanes: list[Lane] = []
        broker.listen(topic, self.lanes.append)

    async def hear(self, lane: Lane, within: float = 10) -> None:
        """Return when *lane* was heard, of which nothing had been heard before."""
        await until(lambda: lane in self.lanes, within=within)


@asynccontextmanager
async def running(*brokers: Broker, connected: bool = True) -> AsyncIterator[None]:
    """Run *brokers* while inside; when they are *connected*, unless told otherwise."""
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for broker in brokers:
            tasks.create_task(broker.run(stopping))
        try:
            if connected:
                await until(lambda: all(is_connected(broker) for broker in brokers))
            yield
        finally:
            stopping.set()


def is_connected(broker: Broker) -> bool:
    return broker.state is BrokerState.CONNECTED


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def pair(request: pytest.FixtureRequest) -> tuple[Broker, Broker]:
    """One that announces and one that listens; the embedded broker is both."""
    if request.param == "embedded":
        broker = EmbeddedBroker()
        return broker, broker
    url = request.getfixturevalue("amqp_url")
    return RabbitMqBroker(url), RabbitMqBroker(url)
