"""What servers say when the doctor connects."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from bench.sink import Sink

from posthouse.doctor.outward_judges import PortFacts
from posthouse.doctor.place_judges import judge_broker
from posthouse.domains.findings import FindingState
from posthouse.inspection.network_facts import greetings, port_25_facts
from posthouse.inspection.rabbitmq_facts import broker_facts
from posthouse.mail.dns_answer import DnsAnswer, Found, NoSuchName
from posthouse.running.tcp import Endpoint
from servers.rabbitmq import RabbitServer

NOWHERE = Endpoint("127.0.0.1", 1)


@asynccontextmanager
async def busy() -> AsyncIterator[Endpoint]:
    """A server that greets with 554, as those do that block an address."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"554 5.7.1 you are blocked\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        yield Endpoint(*server.sockets[0].getsockname())


async def test_a_greeting_is_enough_and_refusals_are_told() -> None:
    async with Sink() as sink, busy() as blocked:
        there = Endpoint("127.0.0.1", sink.port)
        found = await greetings([there, NOWHERE, blocked])
    assert found.greeted[str(there)].startswith("220 ")
    assert {str(NOWHERE), str(blocked)} == set(found.failed)
    assert "you are blocked" in found.failed[str(blocked)]
    assert [] == sink.arrivals


class NoMx:
    """DNS in which nothing can be connected to."""

    async def ask(self, name: str, kind: str) -> DnsAnswer:
        """A null MX (RFC 7505) of one name; others are not there."""
        assert "MX" == kind
        return Found(("0 ",)) if name == "null.example" else NoSuchName()

    async def addresses(self, host: str) -> DnsAnswer:
        """Nobody asks."""
        raise AssertionError(host)


async def test_without_a_server_to_try_nothing_is_tried() -> None:
    assert PortFacts({}, {}) == await port_25_facts(NoMx(), ["null.example", "no.example"])


@pytest.mark.rabbitmq
async def test_the_broker_says_its_version_or_is_away(rabbitmq_server: RabbitServer) -> None:
    assert FindingState.RIGHT is judge_broker(await broker_facts(rabbitmq_server.url)).state
    away = await broker_facts("amqp://guest:guest@127.0.0.1:1/")
    assert ("127.0.0.1:1", FindingState.WRONG) == (away.address, judge_broker(away).state)
