"""A stack of docker-compose.yml, used as tests use the relay that they share."""

import asyncio
from typing import Self

from bench.sink import Sink
from bench.sink_session import Arrival

from compose.stack import Stack
from posthouse.running.tcp import Endpoint
from servers.patience import eventually
from servers.shared_relay import SharedRelay, Submitted


class ComposedRelay(SharedRelay):
    """All of its mail goes to a sink of the test; its database is closed to the test."""

    stack: Stack

    @classmethod
    def of(cls, stack: Stack, sink: Sink) -> Self:
        """The relay in *stack*, which runs."""

        def at(service: str, port: int) -> Endpoint:
            return Endpoint(*stack.address(service, port))

        ports = {"opportunistic": at("ingest", 2587).port, "http": at("ingest", 2580).port}
        places = at("tracking", 2581), at("bounces", 2526), at("dispatcher", 9180)
        made = cls({}, ports, sink, None, [], *places)
        made.stack = stack
        return made

    async def command(self, *arguments: str) -> str:
        """See SharedRelay."""
        return await asyncio.to_thread(self.stack.posthouse, *arguments)

    async def arrived(self, submitted: Submitted) -> dict[str, Arrival]:
        """What arrived of a message that has one recipient."""
        ours = f" id {submitted.id.hex};".encode()

        async def found() -> bool:
            return any(ours in arrival.content for arrival in self.sink.arrivals)

        await eventually(found)
        return {a.recipients[0]: a for a in self.sink.arrivals if ours in a.content}
