"""Hosts of a network of their own, that can be cut off: Linux namespaces joined by a bridge.

All of it ends with this process, however that ends: the namespaces live as long as a process in
them, and the bridge and every cable lie in one of them.
"""

import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Self

from servers.guarded import Guarded

_WITHIN = 60.0  # seconds


class NoIslands(Exception):
    """There are no namespaces to be had; the text says why."""


class _Namespace:
    """A network namespace, held open by a process that sleeps."""

    def __init__(self, log: Path) -> None:
        self._keeper = Guarded(["unshare", "--net", "sleep", "infinity"], os.environ, log)
        deadline = time.monotonic() + _WITHIN
        while (pid := self._keeper.pid) is None or _network(pid) == _network(os.getpid()):
            if not self._keeper.running or time.monotonic() > deadline:
                self.close()
                raise NoIslands(f"unshare --net: {log.read_text()[-200:]}")
            time.sleep(0.01)
        self.pid = pid
        self.enter = ("nsenter", f"--net=/proc/{pid}/ns/net")

    def ip(self, *arguments: str) -> None:
        """Change how it is inside, by an ip command."""
        _run(*self.enter, "ip", *arguments)

    def close(self) -> None:
        """End it, with every cable that leads into it."""
        self._keeper.end(signal.SIGKILL)


class Island:
    """A host with an address, one cable to the others, and a way to run commands on it."""

    def __init__(self, address: str, switch: _Namespace, port: str, log: Path) -> None:
        self.address = address
        self._switch = switch
        self._port = port
        self._inside = _Namespace(log)
        self.enter = self._inside.enter
        switch.ip("link", "add", port, "type", "veth", "peer", "eth0", "netns", str(self._pid))
        switch.ip("link", "set", port, "master", "bridge", "up")
        self._inside.ip("address", "add", f"{address}/24", "dev", "eth0")
        self._inside.ip("link", "set", "eth0", "up")
        self._inside.ip("link", "set", "lo", "up")

    @property
    def _pid(self) -> int:
        return self._inside.pid

    def cut(self) -> None:
        """Pull the cable: nothing goes in or out, and neither side is notified."""
        self._switch.ip("link", "set", self._port, "down")

    def join(self) -> None:
        """Put the cable back."""
        self._switch.ip("link", "set", self._port, "up")

    def part_from(self, *others: "Island") -> None:
        """Have nothing get from here to *others*, while all else goes on."""
        for other in others:
            self._inside.ip("route", "add", "blackhole", other.address)

    def meet(self, *others: "Island") -> None:
        """Undo `part_from`."""
        for other in others:
            self._inside.ip("route", "del", "blackhole", other.address)

    def close(self) -> None:
        """End it."""
        self._inside.close()


class Archipelago:
    """Islands that reach each other and this host, as far as nothing is cut."""

    def __init__(self, folder: Path, count: int) -> None:
        """Raises NoIslands where that is not allowed."""
        if os.geteuid() != 0:
            raise NoIslands("only root may make network namespaces")
        log = folder / "islands.log"
        self.islands: list[Island] = []
        self._switch = _Namespace(log)
        try:
            net = _unused_net()
            self._switch.ip("link", "add", "bridge", "type", "bridge")
            self._switch.ip("link", "set", "bridge", "up")
            ours = f"ph{self._switch.pid}"
            own = str(os.getpid())
            self._switch.ip("link", "add", "host", "type", "veth", "peer", ours, "netns", own)
            self._switch.ip("link", "set", "host", "master", "bridge", "up")
            _run("ip", "address", "add", f"{net}.254/24", "dev", ours)
            _run("ip", "link", "set", ours, "up")
            for number in range(1, count + 1):
                island = Island(f"{net}.{number}", self._switch, f"port{number}", log)
                self.islands.append(island)
        except NoIslands:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all of it."""
        for island in self.islands:
            island.close()
        self._switch.close()


def _unused_net() -> str:
    """The first three octets of a net that leads nowhere yet."""
    taken = _run("ip", "-4", "address") + _run("ip", "-4", "route")
    nets = (f"10.{second}.{third}" for second in range(64, 128) for third in range(256))
    free = [net for net in nets if f"{net}." not in taken]
    return random.choice(free)  # noqa: S311 -- so that two runs do not choose the same


def _network(pid: int) -> str:
    """Which one it is in; that of the others where it cannot be seen yet."""
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return _network(os.getpid())


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_WITHIN, check=False)
    except FileNotFoundError as error:
        raise NoIslands(f"no {command[0]} here") from error
    if done.returncode != 0:
        raise NoIslands(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
