"""A RabbitMQ for tests: one that was given, or one in a container, or a private one.

A pytest plugin: `rabbitmq_server` and `amqp_url` last for the session, `rabbitmq_node` is for
tests that restart, kill or wipe it.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from servers.missing import missing
from servers.rabbitmq_container import ContainerNode, docker_answers
from servers.rabbitmq_private import NoRabbitMq, PrivateNode, installed_scripts


class RabbitServer(Protocol):
    """Somewhere to connect to."""

    url: str

    def close(self) -> None:
        """End it, if we started it."""


class RabbitNode(RabbitServer, Protocol):
    """A broker of our own: everything may be done to it. All calls block until it is done."""

    def start(self) -> None:
        """Start it again after `stop` or `kill`; returns when it can be connected to."""

    def stop(self) -> None:
        """End it in order."""

    def kill(self) -> None:
        """End it as a power cut does."""

    def restart(self) -> None:
        """Stop and start."""

    def wipe(self) -> None:
        """Start it again with everything forgotten."""

    def pause(self) -> None:
        """Keep it from answering, its connections open."""

    def resume(self) -> None:
        """Let it go on."""

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl; what it printed."""


class GivenServer:
    """The broker that POSTHOUSE_TEST_AMQP_URL names: not ours to restart."""

    def __init__(self, url: str) -> None:
        self.url = url

    def close(self) -> None:
        """Leave it as it is."""


def start_rabbitmq(folder: Path) -> RabbitServer:
    """The first that can be had of: given, container, installed, installed now.

    *folder* is where a private one keeps its data. Raises NoRabbitMq.
    """
    if url := os.environ.get("POSTHOUSE_TEST_AMQP_URL"):
        return GivenServer(url)
    if docker_answers():
        return ContainerNode()
    return PrivateNode(folder, installed_scripts())


@pytest.fixture(scope="session")
def rabbitmq_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    """A running RabbitMQ, the same for the whole session."""
    try:
        server = start_rabbitmq(tmp_path_factory.mktemp("rabbitmq"))
    except NoRabbitMq as reason:
        missing("RabbitMQ", str(reason))
    yield server
    server.close()


@pytest.fixture(scope="session")
def amqp_url(rabbitmq_server: RabbitServer) -> str:
    """Where to connect to RabbitMQ."""
    return rabbitmq_server.url


@pytest.fixture
def rabbitmq_node(rabbitmq_server: RabbitServer) -> RabbitNode:
    """The same RabbitMQ, for tests that do something to it."""
    if not isinstance(rabbitmq_server, PrivateNode | ContainerNode):
        pytest.skip("POSTHOUSE_TEST_AMQP_URL names a RabbitMQ that we may not restart")
    return rabbitmq_server
