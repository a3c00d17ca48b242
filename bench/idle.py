"""Many clients over TLS that do nothing: their memory, and the mail beside them.

    python -m bench.idle [--connections 10000] [--loop uvloop]

Ingest alone, over a store that accepts everything at once. Clients in processes of their own log in
and fall silent. Prints the growth of the memory (RSS) of ingest, and the latency of messages at 100
a second from another client, before, beside and after them.
"""

import argparse
import asyncio
import base64
import resource
import socket
import ssl
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop
from bench.chain import certificate
from bench.load import Load, Plan
from bench.load_session import Door
from bench.open_store import log_to_nowhere, open_door

from ingest.session_context import Limits
from posthouse.running.service import allow_open_files

_PROCESSES = 4  # that hold the connections
_SPARE = 100  # connections
_LOGIN = b"AUTH PLAIN " + base64.b64encode(b"\0user\0secret") + b"\r\n"
_MESSAGES, _RATE = 1_500, 100.0
_LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


def stay_idle(port: int, count: int, here: Connection) -> None:
    """Log in *count* times over TLS, say so, and stay until something is said."""
    allow_open_files()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    held = [
        _logged_in(context.wrap_socket(socket.create_connection(("127.0.0.1", port))))
        for _ in range(count)
    ]
    here.send(len(held))
    here.recv()


def _logged_in(client: socket.socket) -> socket.socket:
    client.recv(1_000)
    _ask(client, b"EHLO idle.example\r\n")
    reply = _ask(client, _LOGIN)
    assert reply.startswith(b"235 "), reply
    return client


def _ask(client: socket.socket, line: bytes) -> bytes:
    client.send(line)
    return client.recv(1_000)


def send(port: int) -> str:
    """Send mail; the latency of a message as text."""
    plan = Plan(Door("127.0.0.1", port, "user", "secret"), _MESSAGES, 10, rate=_RATE)
    sent = uvloop.run(Load(plan).run())
    accepted = sum(message.accepted for message in sent)
    times = sorted((message.answered - message.submitted) * 1e3 for message in sent)
    median, p99 = statistics.median(times), times[len(times) * 99 // 100]
    return f"{accepted} of {_MESSAGES} accepted, median {median:.2f} ms, p99 {p99:.2f} ms"


def memory() -> float:
    """RSS of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


async def measure(connections: int) -> None:
    """Print all figures."""
    most = connections + _SPARE
    limits = Limits(
        connections=most,
        connections_per_address=most,
        connections_per_credential=most,
        idle_seconds=3_600,
    )
    listeners = ["127.0.0.1:0/implicit", "127.0.0.1:0/none"]
    log_to_nowhere()
    async with open_door(listeners, limits, certificate()) as service:
        encrypted, clear = (at.port for at in service.addresses)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as sender:
            mail = partial(asyncio.get_running_loop().run_in_executor, sender, send, clear)
            print(f"before them: {await mail()}", flush=True)
            before, began = memory(), time.monotonic()
            async with _idle(encrypted, connections):
                seconds, grown = time.monotonic() - began, memory() - before
                each = f"{grown / connections * 1e3:.1f} KB each"
                print(f"{connections} after {seconds:.0f} s: {grown:.0f} MB more, {each}")
                print(f"beside them: {await mail()}; {memory() - before:.0f} MB more", flush=True)
            print(f"after them:  {await mail()}", flush=True)


@asynccontextmanager
async def _idle(port: int, connections: int) -> AsyncIterator[None]:
    spawning = get_context("spawn")
    ends = []
    for number in range(_PROCESSES):
        here, there = spawning.Pipe()
        share = len(range(number, connections, _PROCESSES))
        child = spawning.Process(target=stay_idle, args=(port, share, there))
        child.start()
        ends.append((child, here))
    for _, here in ends:
        await asyncio.to_thread(here.recv)
    yield
    for child, here in ends:
        here.send(None)
        await asyncio.to_thread(child.join)


def main(arguments: Sequence[str]) -> None:
    """The program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--loop", choices=_LOOPS, default="uvloop")
    given = parser.parse_args(arguments)
    allow_open_files()
    with asyncio.Runner(loop_factory=_LOOPS[given.loop]) as runner:
        runner.run(measure(given.connections))


if __name__ == "__main__":
    main(sys.argv[1:])
