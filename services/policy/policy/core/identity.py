"""Which domain a message speaks for: it signs, names the message and takes back its bounces."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import idna

from posthouse.mail.dkim_key import SigningKey
from posthouse.mail.message import Header

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\([^()]*\)')
_DOMAIN = re.compile(r"@\s*([^\s<>,;:@]+)")
_ANGLED = re.compile(r"<([^<>]*)>")


@dataclass(frozen=True, slots=True)
class Identity:
    """A sending domain of the account, its keys ready to sign."""

    domain: str
    return_path_host: str | None  # None: bounces come back to the relay's own host
    keys: tuple[SigningKey, ...]


@dataclass(frozen=True, slots=True)
class Unusable:
    """The account owns the domain, but its keys cannot be used: nothing is sent for it unsigned."""

    reason: str


@dataclass(frozen=True, slots=True)
class Speaker:
    """What a message is sent as."""

    domain: str  # of its Message-ID
    return_path_host: str
    keys: tuple[SigningKey, ...]  # empty: it goes out unsigned
    note: str | None = None  # for the timeline, when the signature is not the sender's own


def from_domain(header: Header) -> str | None:
    """The domain of the first mailbox in From, in lower case; None when there is none to be read.

    Display names and comments may hold anything, an address included: they do not count.
    """
    value = header.first("From")
    if value is None:
        return None
    bare = _QUOTED.sub("", value)
    angled = _ANGLED.search(bare)
    # A group or a list may name several; the first one speaks (RFC 6376 section 3.5, i= default).
    found = _DOMAIN.search(angled[1] if angled else bare)
    return _ascii(found[1].lower().rstrip(".")) if found else None


def _ascii(domain: str) -> str:
    """The A-labels of an IDN: so sending domains are kept, and signed for (RFC 8616)."""
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode()
    except UnicodeError:
        return domain  # no domain of anybody's; the look-up will say so


def candidates(header: Header, sender: str) -> tuple[str, ...]:
    """The domains a message may speak for, first choice first: From's, the envelope sender's."""
    envelope = _ascii(sender.rpartition("@")[2].lower())
    return tuple(dict.fromkeys([d for d in (from_domain(header), envelope) if d]))


def speaker(
    wanted: tuple[str, ...], known: Mapping[str, Identity | Unusable], relay: Identity
) -> Speaker | Unusable:
    """Choose among the domains *wanted*, of which the account owns those in *known*.

    The first owned domain names the message and takes its bounces, so that SPF aligns with From;
    the first with keys signs. Without any the *relay* signs, if it has a key.
    """
    owned: list[Identity] = []
    for domain in wanted:
        identity = known.get(domain)
        if isinstance(identity, Unusable):
            return identity
        if identity is not None:
            owned.append(identity)
            if identity.keys:
                break

    own = owned[0] if owned else relay
    host = own.return_path_host or relay.return_path_host or relay.domain
    # Only the last one can have keys: the search ends there.
    signing = owned[-1] if owned and owned[-1].keys else relay
    note = None
    if not signing.keys:
        note = "unsigned: neither the sending domain nor the relay has a DKIM key"
    elif signing is relay:
        note = f"signed by the relay's own domain {relay.domain}"
    return Speaker(own.domain, host, signing.keys, note)
