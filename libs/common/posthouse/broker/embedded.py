"""The broker inside one process: hints are calls on the next turn of the event loop."""

import asyncio

from posthouse.broker import BrokerState, Heard, Topic
from posthouse.mail.lane import Lane


class EmbeddedBroker:
    """Connects all services that share this object."""

    def __init__(self) -> None:
        self._listeners: dict[Topic, list[Heard]] = {topic: [] for topic in Topic}

    def announce(self, topic: Topic, lane: Lane) -> None:
        """See Broker."""
        loop = asyncio.get_running_loop()
        for heard in self._listeners[topic]:
            loop.call_soon(heard, lane)  # a fault of a listener is not the caller's

    def listen(self, topic: Topic, heard: Heard) -> None:
        """See Broker."""
        self._listeners[topic].append(heard)

    @property
    def state(self) -> BrokerState:
        """See Broker."""
        return BrokerState.CONNECTED

    async def run(self, stopping: asyncio.Event) -> None:
        """See Broker."""
        await stopping.wait()
