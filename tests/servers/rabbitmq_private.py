"""A private RabbitMQ node of an installed rabbitmq-server, as root or as an ordinary user.

Everything is its own: ports, data, cookie, and the Erlang port mapper, which as a daemon would
outlive the tests.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from servers.debian import CannotInstall, install
from servers.guarded import Guarded
from servers.patience import on_this_machine
from servers.ports import lasting_ports

# Debian's /usr/sbin/rabbitmq-server wants to be root or "rabbitmq"; the scripts behind it do not.
_PACKAGED = Path("/usr/lib/rabbitmq/lib")
_START_WITHIN = 60.0  # seconds; it takes three to six


class NoRabbitMq(Exception):
    """There is no RabbitMQ to be had; the text says what was tried."""


def installed_scripts() -> Path:
    """The folder with rabbitmq-server and rabbitmqctl, installed first if need be and may be."""
    try:
        install("rabbitmq-server", unless=_find_scripts)
    except CannotInstall as reason:
        tried = "no POSTHOUSE_TEST_AMQP_URL, no Docker engine, no rabbitmq-server installed"
        raise NoRabbitMq(f"{tried}, and {reason}") from reason
    scripts = _find_scripts()
    if scripts is None:
        raise NoRabbitMq("rabbitmq-server was installed, but is not where it should be")
    return scripts


def _find_scripts() -> Path | None:
    packaged = sorted(_PACKAGED.glob("rabbitmq_server-*/sbin"), key=_version)
    if packaged:
        return packaged[-1]
    on_path = shutil.which("rabbitmq-server")
    return Path(on_path).resolve().parent if on_path else None


def _version(scripts: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", scripts.parent.name)]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node lives, and its settings."""

    name: str
    host: str
    port: int
    distribution: int
    mapper: int
    conf: str = "disk_free_limit.absolute = 1MB\n"
    enter: tuple[str, ...] = ()  # how a command gets into its network


class PrivateNode:
    """A node that runs until `close`, or until this process ends in any way."""

    def __init__(self, folder: Path, scripts: Path, place: Place | None = None) -> None:
        """Without *place* it lives by itself on this host."""
        self._place = place = place or _anywhere()
        self._folder = folder
        self._scripts = scripts
        self.url = f"amqp://guest:guest@{place.host}:{place.port}/"
        self._env = _environment(folder, place)
        mapper = ["epmd", "-port", str(place.mapper), "-address", place.host]
        self._mapper = Guarded([*place.enter, *mapper], self._env, folder / "epmd.log")
        self.start()

    def start(self) -> None:
        """See RabbitNode."""
        command = [*self._place.enter, str(self._scripts / "rabbitmq-server")]
        self._node = Guarded(command, self._env, self._folder / "output.log")
        deadline = time.monotonic() + on_this_machine(_START_WITHIN)
        while not _listens(self._place.host, self._place.port):
            if not self._node.running or time.monotonic() > deadline:
                self._node.end(signal.SIGKILL)
                raise NoRabbitMq(f"rabbitmq-server did not start:\n{self._output()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """See RabbitNode."""
        self._node.end(signal.SIGTERM)

    def kill(self) -> None:
        """See RabbitNode."""
        self._node.end(signal.SIGKILL)

    def restart(self) -> None:
        """See RabbitNode."""
        self.stop()
        self.start()

    def wipe(self) -> None:
        """See RabbitNode."""
        self.kill()
        shutil.rmtree(self._folder / "data")
        self.start()

    def pause(self) -> None:
        """See RabbitNode."""
        self._node.freeze()

    def resume(self) -> None:
        """See RabbitNode."""
        self._node.send(signal.SIGCONT)

    def ctl(self, *arguments: str) -> str:
        """See RabbitNode."""
        command = [*self._place.enter, str(self._scripts / "rabbitmqctl"), *arguments]
        done = subprocess.run(
            command,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=on_this_machine(30),
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def close(self) -> None:
        """See RabbitServer."""
        self.kill()
        self._mapper.end(signal.SIGKILL)

    def _output(self) -> str:
        return (self._folder / "output.log").read_text(errors="replace")[-2000:]


def _anywhere() -> Place:
    port, distribution, mapper = lasting_ports(3)
    return Place(f"posthouse{port}@localhost", "127.0.0.1", port, distribution, mapper)


def _environment(folder: Path, place: Place) -> dict[str, str]:
    (folder / "enabled_plugins").write_text("[].\n")
    (folder / "rabbitmq.conf").write_text(place.conf)
    (folder / "environment").touch()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),  # where Erlang keeps its cookie
        "LANG": "C.UTF-8",
        "ERL_EPMD_PORT": str(place.mapper),
        "ERL_CRASH_DUMP_SECONDS": "0",
        "RABBITMQ_NODENAME": place.name,
        "RABBITMQ_USE_LONGNAME": str("." in place.name).lower(),
        "RABBITMQ_NODE_IP_ADDRESS": place.host,
        "RABBITMQ_NODE_PORT": str(place.port),
        "RABBITMQ_DIST_PORT": str(place.distribution),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "environment"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        # Makes the script become the node instead of a shell that waits for it.
        "RUNNING_UNDER_SYSTEMD": "true",
    }


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
