"""TCP: endpoints as settings write them, and peers that have vanished."""

import ipaddress
import socket
from dataclasses import dataclass

# Asked after 15 seconds of silence, three times at five seconds; and what was sent may stay
# unacknowledged for as long. Options by their names, because not every system has all of them.
_OPTIONS = {
    "TCP_KEEPIDLE": 15,
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 30_000,  # milliseconds
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to listen or to connect: a host name or address, and a TCP port (0: any free one)."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """Read "127.0.0.1:25", "mail.example:25" or "[::1]:25"; ValueError says what was seen."""
        host, colon, port = text.strip().rpartition(":")
        if not colon or not host or not port.isascii() or not port.isdecimal():
            raise ValueError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:2525 or [::1]:2525")
        if int(port) > 65535:  # noqa: PLR2004 -- the largest TCP port
            raise ValueError(f"{text!r} has a port above 65535")
        if host.startswith("[") and host.endswith("]"):
            return cls(str(ipaddress.IPv6Address(host[1:-1])), int(port))
        if ":" in host:
            raise ValueError(f"{text!r}: an IPv6 address is written in brackets, as in [::1]:2525")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def notice_loss(of: socket.socket) -> None:
    """Detect a lost peer; on a listening socket, for every connection that it accepts."""
    of.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS.items():
        if (option := getattr(socket, name, None)) is not None:
            of.setsockopt(socket.IPPROTO_TCP, option, value)


def bear_with(of: socket.socket, seconds: float) -> None:
    """Let the other side read nothing for *seconds* while we write: that is no loss yet.

    To the kernel a peer that keeps its window shut is as silent as one that is gone.
    """
    if (option := getattr(socket, "TCP_USER_TIMEOUT", None)) is not None:
        of.setsockopt(socket.IPPROTO_TCP, option, round(seconds * 1000))
