"""A dispatcher for each address of this machine, in its own network: a part of `make compose`."""

import asyncio
from collections.abc import Iterator

import pytest

from compose.stack import Stack
from servers.mx import Peer, mx
from servers.patience import eventually
from servers.ports import lasting_ports
from servers.rabbitmq_container import docker_answers

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not docker_answers(), reason="no Docker engine answers"),
]


@pytest.fixture(scope="module")
def port() -> int:
    [found] = lasting_ports(1)
    return found


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Stack]:
    first, second = lasting_ports(2)
    running = Stack(
        tmp_path_factory.mktemp("egress"),
        COMPOSE_FILE="docker-compose.yml:deploy/compose/egress.yml",
        COMPOSE_PROFILES="",
        POSTHOUSE_ROUTES=f"[127.0.0.1]:{port}",
        EGRESS_1_ADDRESSES="127.0.0.11",
        EGRESS_1_NAME="out1.relay.example",
        EGRESS_1_METRICS=f"127.0.0.1:{first}",
        EGRESS_2_ADDRESSES="127.0.0.12",
        EGRESS_2_NAME="out2.relay.example",
        EGRESS_2_METRICS=f"127.0.0.1:{second}",
    )
    try:
        running.up()
        running.log_in_as_new_user()
        yield running
    finally:
        running.down()


async def test_mail_leaves_from_each_address_under_its_name(stack: Stack, port: int) -> None:
    wanted = {("127.0.0.11", "out1.relay.example"), ("127.0.0.12", "out2.relay.example")}
    seen: set[tuple[str, str]] = set()

    async def noting(peer: Peer) -> None:
        await peer.say("220 mx.example ESMTP")
        address, hello = peer.writer.get_extra_info("peername")[0], await peer.hear()
        seen.add((address, hello.removeprefix("EHLO ")))
        await peer.hello("PIPELINING")
        await peer.serve()

    async def came_from_both() -> bool:
        await asyncio.to_thread(stack.send, "somebody")
        return seen >= wanted

    async with mx(noting, port=port):
        await eventually(came_from_both, within=60)
    assert wanted == seen
