"""Host and port, as settings and flags write them."""

import ipaddress
from dataclasses import dataclass


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
