"""Routes that the operator sets: they win over DNS."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from dispatcher.core.routes import SMTP_PORT, is_address


class InvalidRoute(ValueError):
    """A route setting cannot be understood; the text says what was seen."""


@dataclass(frozen=True, slots=True)
class NextHop:
    """The target of a static route."""

    name: str
    port: int
    has_mx: bool  # look up the MX of *name*, which is a domain

    def __str__(self) -> str:
        return self.name if self.has_mx else f"[{self.name}]:{self.port}"


@dataclass(frozen=True, slots=True)
class StaticRoutes:
    """Routes set by the operator: they win over DNS."""

    smarthost: NextHop | None = None  # takes every domain that has no route of its own
    by_domain: Mapping[str, NextHop] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "StaticRoutes":
        """Read entries divided by commas or blanks: "relay:587" or "example.com=[10.0.0.1]:25".

        Brackets, a port or an address mean this host itself; a bare name means the MX of that
        domain. Raises InvalidRoute.
        """
        smarthost: NextHop | None = None
        by_domain: dict[str, NextHop] = {}
        for entry in text.replace(",", " ").split():
            domain, divider, target = entry.partition("=")
            if not divider:
                domain, target = "", entry
            elif not domain:
                raise InvalidRoute(f"{entry!r} names no domain before the '='")
            if (domain.lower() in by_domain) if domain else (smarthost is not None):
                raise InvalidRoute(f"{entry!r} is the second route for {domain or 'all domains'}")
            if domain:
                by_domain[domain.lower()] = parse_next_hop(target)
            else:
                smarthost = parse_next_hop(target)
        return cls(smarthost, by_domain)

    def hop_for(self, domain: str) -> NextHop | None:
        """The next hop for mail to *domain* (lower case), or None to ask DNS."""
        return self.by_domain.get(domain, self.smarthost)

    def __str__(self) -> str:
        own = [f"{domain}={hop}" for domain, hop in self.by_domain.items()]
        return ", ".join([str(self.smarthost), *own] if self.smarthost else own)


_NEXT_HOP = re.compile(
    r"(?:\[(?:IPv6:)?(?P<literal>[^\[\]\s]+)\]|(?P<name>[^\[\]:\s]+))(?::(?P<port>[0-9]{1,5}))?",
    re.IGNORECASE,
)
_HOST_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?", re.IGNORECASE)


def parse_next_hop(text: str) -> NextHop:
    """Read "domain", "host:port", "[host]:port" or an address; port 25 where none is given."""
    match = _NEXT_HOP.fullmatch(text)
    if match is None:
        raise InvalidRoute(f"{text!r} is not a host, host:port or [host]:port")
    name = (match["literal"] or match["name"]).lower()
    port = int(match["port"] or SMTP_PORT)
    if not 0 < port < 65536:  # noqa: PLR2004
        raise InvalidRoute(f"{text!r} has no port between 1 and 65535")
    if not (is_address(name) or _HOST_NAME.fullmatch(name)):
        raise InvalidRoute(f"{text!r} names neither a host nor an address")
    is_host = bool(match["literal"] or match["port"] or is_address(name))
    return NextHop(name, port, has_mx=not is_host)
