"""The servers for the mail of a domain: routes of the operator, and sites."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

SMTP_PORT = 25


class TlsPolicy(StrEnum):
    """What TLS a route asks for."""

    NONE = "none"  # never STARTTLS
    OPPORTUNISTIC = "opportunistic"  # STARTTLS when offered, in clear when it fails (RFC 7435)
    REQUIRED = "required"  # encrypted or deferred; the certificate is not checked


@dataclass(frozen=True, slots=True)
class Route:
    """The servers to try. Equal routes may share connections."""

    by_preference: tuple[tuple[str, ...], ...]  # names, or addresses without brackets; best first
    port: int
    site: str  # shares limits with others of this name, see site_of
    tls: TlsPolicy
    static: bool = False  # set by the operator, who may mean this machine
    by_operator: bool = False  # found by the MX of a domain that the operator named

    def __hash__(self) -> int:
        # Routes are keys on the hot path; what makes them differ is nearly always this.
        return hash((self.by_preference, self.port))


def address_in_literal(domain: str) -> str | None:
    """The address in a domain like "[192.0.2.1]" or "[IPv6:2001:db8::1]", or None."""
    if not domain.startswith("["):
        return None
    address = domain[1:-1].lower().removeprefix("ipv6:")
    return address if is_address(address) else None


def is_address(text: str) -> bool:
    """Whether *text* is an IPv4 or IPv6 address without brackets."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


# Routes of the operator


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


# Sites


def site_of(hosts: Iterable[str]) -> str:
    """The name under which *hosts* are shaped: their organisations, sorted, joined by "+".

    Every domain whose MX hosts belong to the same organisations shares a site, so
    "contoso-com.mail.protection.outlook.com" is "outlook.com" like all its neighbours.
    """
    return "+".join(sorted({_organisation(host) for host in hosts}))


def _organisation(host: str) -> str:
    """The last two labels, or three below a country's second level ("mx.bbc.co.uk").

    A rule of thumb instead of the Public Suffix List: where it is wrong, two small
    organisations share limits, and nothing else happens.
    """
    if is_address(host):
        return host
    labels = host.split(".")
    second_level = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3  # noqa: PLR2004
    return ".".join(labels[-3:] if second_level else labels[-2:])
