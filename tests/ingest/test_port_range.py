"""A listener for every port that clients of MailUp know, and the redirect where there is none."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop
from prometheus_client import REGISTRY

from ingest.listeners import Listener
from ingest.service import IngestService
from ingest.session_context import Limits, SessionContext
from posthouse.authentication.proofs import AuthKeys
from posthouse.running.identity import new_id
from servers.debian import CannotInstall, install
from servers.door import PEPPER, SEALING, RememberingDirectory, RememberingIntake
from servers.islands import Archipelago, Island, NoIslands
from servers.missing import missing
from servers.own_network import own_network

RULES = Path(__file__).parents[2] / "deploy/nftables/submission-ports.nft"
OPEN = [25, *range(1025, 5001)]
CLOSED = [24, 26, 1024, 5001]
FIRST, LAST = 25, 5000

# Says which of the ports greet a client: HOST PORT...
_CLIENT = """
import socket, sys
host, *ports = sys.argv[1:]
for port in ports:
    try:
        with socket.create_connection((host, int(port)), timeout=60) as client:
            print(port if client.recv(100).startswith(b"220 ") else "silent")
    except ConnectionRefusedError:
        pass
"""


@pytest.fixture
def network() -> Iterator[None]:
    """Ports of nobody else."""
    with own_network():
        yield


@asynccontextmanager
async def serving(*listeners: str) -> AsyncIterator[None]:
    service = IngestService(
        [Listener.parse(text) for text in listeners],
        SessionContext.new(
            hostname="mx.posthouse.example",
            intake=RememberingIntake(),
            directory=RememberingDirectory(),
            keys=AuthKeys(PEPPER, SEALING),
            tls=None,
            new_id=new_id,
            clock=asyncio.get_running_loop().time,
            limits=Limits(),
        ),
    )
    service.bind()
    stopping = asyncio.Event()
    task = asyncio.create_task(service.run(stopping))
    yield
    stopping.set()
    await task


async def greet(ports: Sequence[int]) -> list[int]:
    """Those of *ports* that greet a client."""

    async def greets(port: int) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return False
        greeting = await reader.readline()
        writer.close()
        return greeting.startswith(b"220 ")

    found: list[int] = []
    for begin in range(0, len(ports), 100):
        some = ports[begin : begin + 100]
        answers = await asyncio.gather(*map(greets, some))
        found += [port for port, answered in zip(some, answers, strict=True) if answered]
    return found


@pytest.mark.usefixtures("network")
def test_U02_port_25_and_every_port_from_1025_to_5000_in_one_process() -> None:
    """As one label each: of metrics, and for the knob `session.allowed_listeners`."""
    listeners = ["0.0.0.0:25/none", "0.0.0.0:1025-5000/none"]

    async def tried() -> list[int]:
        async with serving(*listeners):
            return await greet([*CLOSED, *OPEN])

    assert uvloop.run(tried()) == OPEN
    for listener in listeners:
        assert REGISTRY.get_sample_value("posthouse_smtp_sessions", {"listener": listener}) == 0


@pytest.fixture
def client(tmp_path: Path) -> Iterator[tuple[Island, str, str]]:
    """A host beside ours, and our addresses there."""
    try:
        install("nftables", unless=lambda: shutil.which("nft"))
    except CannotInstall as reason:
        missing("nft", str(reason))
    with own_network():
        try:
            archipelago = Archipelago(tmp_path, 1)
        except NoIslands as reason:
            missing("a host in a network of its own", str(reason))
        with archipelago:
            (island,) = archipelago.islands
            ours = island.address.rpartition(".")[0] + ".254"
            cable = _cable(ours)
            for enter, number, device in (((), 1, cable), (island.enter, 2, "eth0")):
                address = ("address", "add", f"fd00::{number}/64", "dev", device, "nodad")
                subprocess.run([*enter, "ip", "-6", *address], check=True)
            yield island, ours, "fd00::1"


def _cable(address: str) -> str:
    """The device with *address*."""
    command = ["ip", "-o", "address", "show", "to", address]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[1]


def test_U02_the_documented_redirect_leads_to_one_listener_over_ipv4_and_ipv6(
    client: tuple[Island, str, str],
) -> None:
    island, *ours = client
    ports = [*CLOSED, FIRST, 1025, 2525, 2526, LAST]
    subprocess.run(["nft", "-f", RULES], check=True)

    async def tried(host: str) -> list[int]:
        async with serving("[::]:2525/none"):
            command = [*island.enter, sys.executable, "-c", _CLIENT, host, *map(str, ports)]
            done = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
            said, _ = await done.communicate()
            return [int(port) for port in said.split()]

    for host in ours:
        assert uvloop.run(tried(host)) == [port for port in ports if port in OPEN]
