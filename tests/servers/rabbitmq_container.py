"""A RabbitMQ in a container, where a Docker engine answers."""

import os
import socket
import time
from urllib.parse import urlsplit

from testcontainers.core.container import DockerContainer

from servers.ports import lasting_ports
from servers.rabbitmq_private import NoRabbitMq

_START_WITHIN = 120.0  # seconds, with the image there


def docker_answers() -> bool:
    """Whether there is an engine, found out without importing half of its client."""
    where = urlsplit(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    try:
        with _connect(where.scheme, where.path, where.hostname, where.port) as engine:
            engine.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return engine.recv(9).startswith(b"HTTP/1.")
    except OSError:
        return False


def _connect(scheme: str, path: str, host: str | None, port: int | None) -> socket.socket:
    if scheme != "unix":
        return socket.create_connection((host or "127.0.0.1", port or 2375), timeout=1)
    engine = socket.socket(socket.AF_UNIX)
    engine.settimeout(1)
    engine.connect(path)
    return engine


class ContainerNode:
    """A node in a container that is removed by `close`."""

    def __init__(self) -> None:
        [self._port] = lasting_ports(1)
        self._container = self._create()
        host = self._container.get_container_host_ip()
        self.url = f"amqp://guest:guest@{host}:{self._port}/"
        self._wait()

    def start(self) -> None:
        """See RabbitNode."""
        self._container.get_wrapped_container().start()
        self._wait()

    def stop(self) -> None:
        """See RabbitNode."""
        self._container.get_wrapped_container().stop(timeout=10)

    def kill(self) -> None:
        """See RabbitNode."""
        self._container.get_wrapped_container().kill()

    def restart(self) -> None:
        """See RabbitNode."""
        self.stop()
        self.start()

    def wipe(self) -> None:
        """See RabbitNode."""
        self._container.stop(force=True, delete_volume=True)
        self._container = self._create()
        self._wait()

    def pause(self) -> None:
        """See RabbitNode."""
        self._container.get_wrapped_container().pause()

    def resume(self) -> None:
        """See RabbitNode."""
        self._container.get_wrapped_container().unpause()

    def ctl(self, *arguments: str) -> str:
        """See RabbitNode."""
        done = self._container.exec(["rabbitmqctl", *arguments])
        output = str(done.output, "utf-8", "replace")
        if done.exit_code != 0:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: {output}")
        return output

    def close(self) -> None:
        """See RabbitServer."""
        self._container.stop(force=True, delete_volume=True)

    def _create(self) -> DockerContainer:
        container = DockerContainer(os.environ.get("RABBITMQ_IMAGE", "rabbitmq:4"))
        return container.with_bind_ports(5672, self._port).start()

    def _wait(self) -> None:
        """Return when the broker answers; its port alone is opened by the engine at once."""
        deadline = time.monotonic() + _START_WITHIN
        while not _answers(self._container.get_container_host_ip(), self._port):
            if time.monotonic() > deadline:
                raise NoRabbitMq("the container's RabbitMQ does not answer")
            time.sleep(0.2)


def _answers(host: str, port: int) -> bool:
    """Whether a broker greets: it does so only after it was greeted (AMQP 0-9-1, 2.2.4)."""
    try:
        with socket.create_connection((host, port), timeout=2) as broker:
            broker.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(broker.recv(1))
    except OSError:
        return False
