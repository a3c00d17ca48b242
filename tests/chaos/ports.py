"""Ports that a server of the tests can come back to after it was killed."""

import random
import socket
from pathlib import Path

_LOWEST = 10_000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def lasting_ports(count: int) -> list[int]:
    """TCP ports of 127.0.0.1 that nobody listens on, below those the system gives to clients.

    A client that knocks again and again at a port of that range, while its server is away, one
    day is given this very port for its own end: it is then connected to itself, and the server
    cannot come back.
    """
    lowest_of_clients = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32_768
    ports: list[int] = []
    for port in random.sample(range(_LOWEST, lowest_of_clients), k=50 * count):
        if _is_free(port):
            ports.append(port)
        if len(ports) == count:
            return ports
    raise OSError(f"no {count} free ports between {_LOWEST} and {lowest_of_clients}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
