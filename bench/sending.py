"""The cost of one delivery in the dispatcher without the store: the attempt and its SMTP client.

    python -m bench.sending [--messages 10000] [--size 10240] [--rounds 7]

Sends over kept connections to a sink in a process of its own, and prints the CPU of this process
per delivery, user and system time together, log and metrics included: the median of the rounds
and the best of them. "sockets alone" writes and reads the same octets in as few calls, without
SMTP: no program that sends through the event loop can be faster.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from uuid import UUID

import uvloop
from bench.children import PYTHON, Child

from dispatcher.connection_pool import ConnectionPool
from dispatcher.core.envelope import Envelope
from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.core.routes import Route, TlsPolicy
from dispatcher.core.static_routes import NextHop, StaticRoutes
from dispatcher.delivery_attempt import DeliveryAttempts
from dispatcher.kept_connections import ReusePolicy
from dispatcher.results import Results
from dispatcher.router import MxResolver, Router
from dispatcher.sites import Sites
from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.submission import Delivery
from posthouse.running import logs
from posthouse.running.common_settings import LogFormat
from posthouse.running.identity import new_id
from posthouse.store.deliveries import ClaimedDelivery, Settlement

SENDER = "b+aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@bounce.sender.example"
RECIPIENT = "someone@dest.example"
HEADER = (
    b"X-Bench-Id: 1\r\n"  # without it the sink searches the text for one
    + b"X-Field: sixty octets or so, as a header field of a message has\r\n" * 20
    + b"\r\n"
)
LINE = b"A line of text as mail has it, neither very long nor very short, ends here.\r\n"

Send = Callable[[ClaimedDelivery], Awaitable[None]]


def delivery_of(size: int) -> ClaimedDelivery:
    """A claimed delivery of a message of *size* octets."""
    now = datetime.now(UTC)
    delivery = Delivery(new_id(), new_id(), UUID(int=1), new_id(), Lane.NORMAL, RECIPIENT, SENDER)
    return ClaimedDelivery(
        delivery, claim=1, tries=0, abandoned=0, expired=False,
        received_at=now, expires_at=now + timedelta(days=5),
        size=size, header=HEADER, body=LINE * max(1, (size - len(HEADER)) // len(LINE)),
    )  # fmt: skip


async def measure(send: Send, messages: int, at_once: int, size: int) -> float:
    """CPU in seconds of *messages*, *at_once* at a time, after *at_once* messages to warm up."""
    waiting = [delivery_of(size) for _ in range(messages)]

    async def work() -> None:
        while waiting:
            await send(waiting.pop())

    await asyncio.gather(*(send(delivery_of(size)) for _ in range(at_once)))
    began = time.process_time()
    await asyncio.gather(*(work() for _ in range(at_once)))
    return time.process_time() - began


@asynccontextmanager
async def connections() -> AsyncIterator[tuple[ConnectionPool, MxResolver]]:
    """The dispatcher's connections, which end only after their number of messages."""
    resolver = MxResolver(["127.0.0.1"])
    reuse = ReusePolicy(messages_per_connection=sys.maxsize)
    opened = ConnectionPool("relay.example", resolver, RefusedHosts(frozenset()), reuse=reuse)
    try:
        yield opened, resolver
    finally:
        await opened.close()


async def committed(_: Settlement) -> bool:
    """A store that keeps nothing."""
    return True


@asynccontextmanager
async def by_attempt(port: int, _at_once: int) -> AsyncIterator[Send]:
    """The whole attempt of a claimed delivery: route, site, SMTP, next action, log, metrics."""
    async with connections() as (sender, resolver):
        static = StaticRoutes(NextHop("127.0.0.1", port, has_mx=False))
        router = Router(resolver, RefusedHosts(frozenset()), static=static)
        attempts = DeliveryAttempts(router, sender, Sites(20))
        results = Results(committed)

        async def send(claimed: ClaimedDelivery) -> None:
            result = await attempts.run(claimed)
            assert isinstance(result, Settlement)
            results.announce(result)
            assert result.kind is EventKind.DELIVERED, result.detail

        yield send


@asynccontextmanager
async def by_connections(port: int, _at_once: int) -> AsyncIterator[Send]:
    """A kept connection, and SMTP."""
    route = Route((("127.0.0.1",),), port, "sink", TlsPolicy.OPPORTUNISTIC, static=True)
    async with connections() as (sender, _):

        async def send(claimed: ClaimedDelivery) -> None:
            envelope = Envelope(SENDER, (RECIPIENT,), claimed.header, claimed.body)
            await sender.send(route, envelope)

        yield send


class Bare(asyncio.Protocol):
    """Writes, and waits for a number of line ends."""

    def __init__(self) -> None:
        self._missing = 1  # the greeting
        self.answered = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note what to write to."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Count line ends."""
        self._missing -= data.count(b"\n")
        if not self._missing:
            self.answered.set_result(None)

    async def ask(self, lines: int, *chunks: bytes) -> None:
        """Write *chunks*; return when there are *lines* of reply."""
        self._missing = lines
        self.answered = asyncio.get_running_loop().create_future()
        self.transport.writelines(chunks)
        await self.answered


@asynccontextmanager
async def by_sockets(port: int, at_once: int) -> AsyncIterator[Send]:
    """The octets alone."""
    loop = asyncio.get_running_loop()
    idle = [(await loop.create_connection(Bare, "127.0.0.1", port))[1] for _ in range(at_once)]
    asked = f"MAIL FROM:<{SENDER}> SIZE=10240\r\nRCPT TO:<{RECIPIENT}>\r\nDATA\r\n".encode()
    for session in idle:
        await session.answered
        await session.ask(1, b"HELO relay.example\r\n")

    async def send(claimed: ClaimedDelivery) -> None:
        session = idle.pop()
        await session.ask(3, asked)
        await session.ask(1, claimed.header, claimed.body, b".\r\n")
        idle.append(session)

    yield send
    for session in idle:
        session.transport.close()


MEASURED = (
    ("attempt to settlement", by_attempt),
    ("connections and SMTP", by_connections),
    ("sockets alone", by_sockets),
)


async def compare(messages: int, size: int, rounds: int, folder: Path) -> None:
    """Measure each in every round, and print the costs."""
    command = [PYTHON, "-m", "bench.sink", "--listen", "127.0.0.1:0"]
    sink = await Child.start(command, folder / "sink.log", speaks=True)
    port = int(str((await sink.line())["listening"]).rpartition(":")[2])
    took: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        for at_once in (20, 1):
            for name, opened in MEASURED:
                async with opened(port, at_once) as send:
                    cpu = await measure(send, messages // rounds, at_once, size)
                took.setdefault((name, at_once), []).append(cpu / (messages // rounds) * 1e6)
    await sink.stop()
    print(f"{'us of CPU a delivery':24} {'at once':>8} {'median':>8} {'best':>8}")
    for (name, at_once), each in took.items():
        print(f"{name:24} {at_once:8} {statistics.median(each):8.1f} {min(each):8.1f}")


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=10_000, help="of each, over all rounds")
    parser.add_argument("--size", type=int, default=10_240, help="octets of a message")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        logs.configure("bench", form=LogFormat.JSON, stream=nowhere)
        uvloop.run(compare(given.messages, given.size, given.rounds, Path(folder)))


if __name__ == "__main__":
    main()
