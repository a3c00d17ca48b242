"""The servers for the mail of a domain, and the site that they are."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from dispatcher.core.relay_login import RelayLogin
from posthouse.mail.address import is_ip_address

SMTP_PORT = 25


class TlsPolicy(StrEnum):
    """What TLS a route asks for."""

    CLEAR = "clear"  # never TLS, not even for a login
    OPPORTUNISTIC = "opportunistic"  # STARTTLS when offered, in clear when it fails (RFC 7435)
    REQUIRED = "required"  # encrypted or deferred; the certificate is not checked
    VERIFIED = "verified"  # the same, with a certificate of that name that the system trusts
    IMPLICIT = "implicit"  # verified, and TLS comes before the greeting (RFC 8314)

    @property
    def checks_certificate(self) -> bool:
        """Whether the server has to show who it is."""
        return self in (TlsPolicy.VERIFIED, TlsPolicy.IMPLICIT)


@dataclass(frozen=True, slots=True)
class Route:
    """The servers to try. Equal routes may share connections."""

    by_preference: tuple[tuple[str, ...], ...]  # names, or addresses without brackets; best first
    port: int
    site: str  # shares limits with others of this name, see site_of
    tls: TlsPolicy
    static: bool = False  # set by the operator, who may mean this machine
    by_operator: bool = False  # found by the MX of a domain that the operator named
    login: RelayLogin | None = None  # the servers want one

    def __hash__(self) -> int:
        # Routes are keys on the hot path; what makes them differ is nearly always this.
        return hash((self.by_preference, self.port))


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A server to connect to."""

    host: str  # its name, for certificates and logs
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}[{self.address}]:{self.port}"


def address_in_literal(domain: str) -> str | None:
    """The address in a domain like "[192.0.2.1]" or "[IPv6:2001:db8::1]", or None."""
    if not domain.startswith("["):
        return None
    address = domain[1:-1].lower().removeprefix("ipv6:")
    return address if is_ip_address(address) else None


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
    if is_ip_address(host):
        return host
    labels = host.split(".")
    second_level = len(labels) > 2 and len(labels[-1]) == 2 and len(labels[-2]) <= 3  # noqa: PLR2004
    return ".".join(labels[-3:] if second_level else labels[-2:])
