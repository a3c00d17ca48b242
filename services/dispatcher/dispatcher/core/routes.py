"""The servers for the mail of a domain: routes of the operator, MX answers, and sites."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias, assert_never

from dispatcher.core.refused_hosts import RefusedHosts, is_loopback
from posthouse.mail.outcome import Bounced, Deferred
from posthouse.mail.reply import Reply
from posthouse.mail.scope import Scope

SMTP_PORT = 25


class TlsPolicy(StrEnum):
    """What TLS a route asks for."""

    NONE = "none"  # never STARTTLS
    OPPORTUNISTIC = "opportunistic"  # STARTTLS when offered, in clear when it fails (RFC 7435)
    REQUIRED = "required"  # encrypted or deferred; the certificate is not checked


@dataclass(frozen=True, slots=True)
class Route:
    """The servers to try, in this order. Equal routes may share connections."""

    hosts: tuple[str, ...]  # names, or addresses without brackets
    port: int
    site: str  # shares limits with others of this name, see site_of
    tls: TlsPolicy
    static: bool = False  # set by the operator, who may mean this machine

    def __hash__(self) -> int:
        # Routes are keys on the hot path; what makes them differ is nearly always this.
        return hash((self.hosts, self.port))


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


# Routes by DNS


@dataclass(frozen=True, slots=True)
class MailExchanger:
    """One MX record; the lower preference is tried first."""

    preference: int
    host: str  # lower case, no trailing dot; "" is the null MX of RFC 7505


@dataclass(frozen=True, slots=True)
class Exchangers:
    """The MX records of a domain, at least one."""

    records: tuple[MailExchanger, ...]


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of a host, at least one, in the order to try."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoSuchName:
    """DNS is certain that the name does not exist (NXDOMAIN)."""


@dataclass(frozen=True, slots=True)
class NoRecords:
    """The name exists and has no record of the type asked for."""


@dataclass(frozen=True, slots=True)
class LookupFailed:
    """DNS gave no answer to rely on: SERVFAIL, timeout, nonsense."""

    reason: str


MxAnswer: TypeAlias = Exchangers | NoSuchName | NoRecords | LookupFailed
AddressAnswer: TypeAlias = Addresses | NoSuchName | NoRecords | LookupFailed


def hosts_in_order(
    domain: str, exchangers: Exchangers, refused: RefusedHosts
) -> tuple[str, ...] | Deferred | Bounced:
    """The hosts to try for *domain*, best first (RFC 5321 section 5.1).

    Records of equal preference keep the order of the answer, which DNS servers rotate.
    """
    if all(record.host == "" for record in exchangers.records):
        # RFC 7505 section 4.2: 556 with 5.1.10.
        return _no_way(556, "5.1.10", f"{domain} accepts no mail (null MX)")
    records = sorted(
        (record for record in exchangers.records if record.host), key=lambda mx: mx.preference
    )
    # "If it is found in the list, that host and all with the same or a higher preference
    # number MUST be discarded": hosts after us would send the mail back to us.
    ours = min((mx.preference for mx in records if mx.host in refused.names), default=None)
    hosts = tuple(mx.host for mx in records if ours is None or mx.preference < ours)
    return tuple(dict.fromkeys(hosts)) or loops_back(domain)


def without_exchangers(
    domain: str, mx: NoSuchName | NoRecords, own: AddressAnswer, refused: RefusedHosts
) -> tuple[str, ...] | Deferred | Bounced:
    """The hosts of a domain without MX: itself, if it has an address (the implicit MX).

    *own* is the answer for the domain's own address. A domain is only bounced as unknown
    when both lookups say that the name does not exist.
    """
    match own:
        case Addresses():
            return loops_back(domain) if domain in refused.names else (domain,)
        case LookupFailed(reason):
            return lookup_failed(domain, reason)
        case NoSuchName() if mx == NoSuchName():
            return _no_way(550, "5.1.2", f"the domain {domain} does not exist")
        case _:
            return lookup_failed(domain, "neither MX nor address records")


def addresses_of(
    host: str, answer: AddressAnswer, refused: RefusedHosts | None = None
) -> tuple[str, ...] | Deferred:
    """The addresses to connect to for *host*, without those that are *refused*."""
    match answer:
        case Addresses(addresses):
            allowed = refused.without_refused(addresses) if refused else addresses
            return allowed or _only_refused(host, addresses)
        case LookupFailed(reason):
            return lookup_failed(host, reason)
        case NoSuchName() | NoRecords():
            return lookup_failed(host, "no address")
        case _:
            assert_never(answer)


def lookup_failed(name: str, reason: str) -> Deferred:
    """DNS could not tell where to go: try again later."""
    return Deferred(Reply(451, f"looking up {name}: {reason}", "4.4.3"), Scope.SITE)


def loops_back(domain: str) -> Deferred:
    """The route to *domain* leads to ourselves: a mistake in DNS that may be corrected."""
    return Deferred(Reply(451, f"mail for {domain} loops back to this host", "4.4.6"), Scope.SITE)


def _only_refused(host: str, addresses: tuple[str, ...]) -> Deferred:
    """The route to *host* leads to us or into a private network: a mistake in DNS, or an attack."""
    if any(map(is_loopback, addresses)):
        return loops_back(host)
    text = f"{host} has only private addresses ({', '.join(addresses)})"
    return Deferred(Reply(451, text, "4.4.4"), Scope.SITE)


def _no_way(code: int, enhanced: str, text: str) -> Bounced:
    # Says something about the domain, not about the mailbox: never a reason to suppress.
    return Bounced(Reply(code, text, enhanced), Scope.SITE)


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
