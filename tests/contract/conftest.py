"""The two brokers, told apart by nothing but their promises."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from posthouse.broker import Broker, QueueTerms
from posthouse.broker.embedded import EmbeddedBroker
from posthouse.broker.rabbitmq import RabbitMqBroker
from servers.patience import until

SOON = QueueTerms(retry_after=0.05)

OpenBroker = Callable[..., Awaitable[Broker]]


@pytest.fixture
def queue() -> str:
    """The name of a queue that no other test knows."""
    return f"test.{uuid4().hex}"


@pytest.fixture(params=["embedded", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
async def open_broker(request: pytest.FixtureRequest) -> AsyncIterator[OpenBroker]:
    """Opens a broker with the terms it is given, and closes it after the test."""
    async with AsyncExitStack() as stack:
        if request.param == "embedded":

            async def open_one(terms: QueueTerms = SOON) -> Broker:
                return await stack.enter_async_context(EmbeddedBroker.open(terms))

        else:
            url = request.getfixturevalue("amqp_url")

            async def open_one(terms: QueueTerms = SOON) -> Broker:
                broker = await stack.enter_async_context(RabbitMqBroker.open(url, terms=terms))
                await until(lambda: broker.connected)
                return broker

        yield open_one


@pytest.fixture
async def broker(open_broker: OpenBroker) -> Broker:
    """A connected broker that retries soon."""
    return await open_broker()
