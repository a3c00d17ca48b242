"""Ports that a server of the tests can come back to after it was killed."""

import os
import random
import socket
from pathlib import Path

_LOWEST = 10_000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def lasting_ports(count: int) -> list[int]:
    """TCP ports of 127.0.0.1 that are free, below those the system gives to clients.

    A client that connects again and again to a port of that range, while its server is away, one
    day is given this very port for its own end: it is then connected to itself, and the server
    cannot come back. Processes of one test run (pytest-xdist) have ports of their own, so that
    none takes the port of a server that another one has just stopped.
    """
    ports: list[int] = []
    ours = _ports_of_this_process()
    for port in random.sample(ours, k=min(len(ours), 50 * count)):
        if _is_free(port):
            ports.append(port)
        if len(ports) == count:
            return ports
    raise OSError(f"no {count} free ports between {ours.start} and {ours.stop}")


def _ports_of_this_process() -> range:
    lowest_of_clients = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32_768
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return range(_LOWEST + number, lowest_of_clients, processes)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
