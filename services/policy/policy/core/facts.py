"""Facts about a message from elsewhere, and the choice of its signing identity."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from posthouse.mail.dkim_key import SigningKey
from posthouse.mail.suppression_list import Suppression
from posthouse.tracking.host_state import HostState
from posthouse.tracking.list_frame import ListFrame
from posthouse.tracking.token import TokenKey


@dataclass(frozen=True, slots=True)
class DomainKeys:
    """A sending domain with its active keys, ready to sign."""

    domain: str
    return_path_host: str | None  # None: bounces come back to the relay's own host
    keys: tuple[SigningKey, ...]
    tracking: HostState | None = None  # None: links lead to the relay's own tracking host


@dataclass(frozen=True, slots=True)
class SigningUnavailable:
    """The account owns the domain, but its keys cannot be used: nothing is sent for it unsigned."""

    reason: str


KnownDomain: TypeAlias = DomainKeys | SigningUnavailable


class TrackingHost(NamedTuple):
    """Where tracked links and pixels lead, and what signs their tokens."""

    url: str  # such as https://t.relay.example; "" for none
    key: TokenKey
    note: str = ""  # for the timeline, when it is not the sender's own

    @property
    def host(self) -> str:
        """The host of the URL; "" for none."""
        return self.url.partition("://")[2].partition(":")[0]


@dataclass(frozen=True, slots=True)
class Relay:
    """Facts about this installation, the same for every message."""

    hostname: str
    own: DomainKeys  # signs for domains without keys
    return_path_key: bytes
    signed_id_key: bytes
    tracking: TrackingHost | None = None  # of the relay itself; None: nothing is tracked


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts looked up for one request."""

    relay: Relay
    domains: Mapping[str, KnownDomain]  # of the request's from_domains those that the account owns
    suppressions: Mapping[str, tuple[Suppression, ...]]  # of recipients, as the request spells them
    # Those recipients of a message from the sandbox domain that may get it.
    confirmed: Collection[str] = ()
    frame: ListFrame | None = None  # of the stream, where the message is to have it


@dataclass(frozen=True, slots=True)
class SigningIdentity:
    """Who a copy is signed as."""

    domain: str  # names the message and takes its bounces
    return_path_host: str
    keys: tuple[SigningKey, ...]  # empty: it goes out unsigned
    note: str | None = None  # for the timeline, when the signature is not the sender's own

    @property
    def is_aligned(self) -> bool:
        """Whether bounces come back to its domain or below: SPF aligns (RULES E20, RFC 7489)."""
        host, domain = self.return_path_host, self.domain
        return host == domain or host.endswith(f".{domain}")


def naming_domain(candidates: tuple[str, ...], facts: Facts) -> str:
    """The first of *candidates* that the account owns, else the relay's own domain."""
    return next((name for name in candidates if name in facts.domains), facts.relay.own.domain)


def signing_identity(
    candidates: tuple[str, ...], facts: Facts
) -> SigningIdentity | SigningUnavailable:
    """Choose among the domains *candidates*, the first choice first.

    The first one that the account owns takes the bounces, so that SPF aligns with From; the first
    one with keys signs. Without any the relay signs, if it has a key.
    """
    owned: list[DomainKeys] = []
    for name in candidates:
        domain = facts.domains.get(name)
        if isinstance(domain, SigningUnavailable):
            return domain
        if domain is not None:
            owned.append(domain)
            if domain.keys:
                break

    relay = facts.relay.own
    own = owned[0] if owned else relay
    host = own.return_path_host or relay.return_path_host or relay.domain
    # Only the last one can have keys: the search ends there.
    signing = owned[-1] if owned and owned[-1].keys else relay
    note = None
    if not signing.keys:
        note = "unsigned: neither the sending domain nor the relay has a DKIM key"
    elif signing is relay:
        note = f"signed by the relay's own domain {relay.domain}"
    return SigningIdentity(own.domain, host, signing.keys, note)
