"""A network of their own for the tests and all that they start, where packets can be swallowed.

Everything in it is at 127.0.0.0/8, as on any machine. A program that reaches a server by an address
of its own can be cut off from it alone: silently, both ways, like by a cable that is pulled.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from servers.debian import CannotInstall, install
from servers.missing import missing

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_libc = ctypes.CDLL(None, use_errno=True)

_RULES = """
table inet cut {
    set silent { type ipv4_addr . inet_service; }
    chain arriving {
        type filter hook input priority 0;
        ip daddr . tcp dport @silent drop
        ip saddr . tcp sport @silent drop
        ip daddr . udp dport @silent drop
    }
}
"""


class OwnNetwork:
    """What can be done to it."""

    def cut(self, address: str, port: int) -> None:
        """Swallow what goes to this server, and what comes from it."""
        _run("nft", "add", "element", "inet", "cut", "silent", f"{{ {address} . {port} }}")

    def heal(self) -> None:
        """Let everything through."""
        _run("nft", "flush", "set", "inet", "cut", "silent")

    def ends(self, address: str, port: int) -> tuple[int, int]:
        """How many connections to the server there its clients believe in, and how many itself."""

        def established(*whose: str) -> int:
            return len(_run("ss", "-Htn", "state", "established", *whose).splitlines())

        clients = established("dst", address, "dport", "=", str(port))
        return clients, established("src", address, "sport", "=", str(port))

    def add(self, address: str) -> None:
        """Make *address* one of this machine."""
        _run("ip", "address", "add", f"{address}/32", "dev", "lo")


@contextmanager
def own_network() -> Iterator[OwnNetwork]:
    """While inside, this thread and what it starts are in a network of their own.

    Skips, loudly, where that cannot be had.
    """
    if os.geteuid() != 0:
        missing("a network of its own", "only root may make one")
    try:
        install("nftables", unless=lambda: shutil.which("nft"))
    except CannotInstall as reason:
        missing("a network of its own", f"no nft, and {reason}")
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    if _libc.unshare(_NEW_NETWORK) != 0:
        missing("a network of its own", os.strerror(ctypes.get_errno()))
    try:
        _run("ip", "link", "set", "lo", "up")
        _run("nft", "-f", "-", given=_RULES)
        yield OwnNetwork()
    finally:
        if _libc.setns(before, _NEW_NETWORK) != 0:
            raise OSError(ctypes.get_errno(), "cannot go back into the network of the host")
        os.close(before)


def _run(*command: str, given: str = "") -> str:
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout
