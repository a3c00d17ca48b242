"""What DNS answers about a domain, and the hosts for its mail (RFC 5321 section 5.1)."""

from collections import defaultdict
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from dispatcher.core.refused_hosts import RefusedHosts, is_loopback
from dispatcher.core.second_look import Unconfirmed, unconfirmed
from posthouse.answers import Stage, judge, read_answer
from posthouse.mail.dns_answer import LookupFailed, NoRecords, NoSuchName
from posthouse.mail.outcome import Bounced, Deferred
from posthouse.mail.reply import Reply
from posthouse.mail.scope import Scope

HostsByPreference: TypeAlias = tuple[tuple[str, ...], ...]


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


MxAnswer: TypeAlias = Exchangers | NoSuchName | NoRecords | LookupFailed
AddressAnswer: TypeAlias = Addresses | NoSuchName | NoRecords | LookupFailed


def hosts_by_preference(
    domain: str, exchangers: Exchangers, refused: RefusedHosts
) -> HostsByPreference | Deferred | Bounced:
    """The hosts to try for *domain*, best first (RFC 5321 section 5.1).

    Hosts of one preference are equal, and sorted: answers that differ in order are one route.
    """
    if all(record.host == "" for record in exchangers.records):
        # RFC 7505 section 4.2: 556 with 5.1.10.
        return _no_way(556, "5.1.10", f"{domain} accepts no mail (null MX)")
    best: dict[str, int] = {}
    for record in sorted(exchangers.records, key=lambda mx: mx.preference):
        if record.host:
            best.setdefault(record.host, record.preference)
    # "If it is found in the list, that host and all with the same or a higher preference
    # number MUST be discarded": hosts after us would send the mail back to us.
    ours = min((best[host] for host in best if host in refused.names), default=None)
    equal: defaultdict[int, list[str]] = defaultdict(list)
    for host, preference in best.items():
        if ours is None or preference < ours:
            equal[preference].append(host)
    return tuple(tuple(sorted(hosts)) for hosts in equal.values()) or loops_back(domain)


def without_exchangers(
    domain: str, mx: NoSuchName | NoRecords, own: AddressAnswer, refused: RefusedHosts
) -> HostsByPreference | Deferred | Bounced:
    """The hosts of a domain without MX: itself, if it has an address (the implicit MX).

    *own* is the answer for the domain's own address. A domain is only bounced as unknown
    when both lookups say that the name does not exist.
    """
    match own:
        case Addresses():
            return loops_back(domain) if domain in refused.names else ((domain,),)
        case LookupFailed(reason):
            return lookup_failed(domain, reason)
        case NoSuchName() if mx == NoSuchName():
            return _no_way(550, "5.1.2", f"the domain {domain} does not exist")
        case _:
            # RFC 3463 section 3.5: the very example of X.4.4.
            text = f"the domain {domain} takes no mail: no MX and no address"
            return unconfirmed(_no_way(550, "5.4.4", text))


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
            text = f"no MX leads to an address: {host} has none"
            return unconfirmed(_no_way(550, "5.4.4", text))
        case _:
            assert_never(answer)


def lookup_failed(name: str, reason: str) -> Deferred:
    """DNS could not tell where to go: try again later."""
    return Deferred(Reply(451, f"looking up {name}: {reason}", "4.4.3"), Scope.SITE)


def loops_back(domain: str) -> Unconfirmed:
    """The route to *domain* leads to ourselves: a mistake in DNS that may be corrected."""
    return unconfirmed(_no_way(550, "5.4.6", f"mail for {domain} loops back to this host"))


def _only_refused(host: str, addresses: tuple[str, ...]) -> Deferred:
    """The route to *host* leads to us or into a private network: a mistake in DNS, or an attack."""
    if any(map(is_loopback, addresses)):
        return loops_back(host)
    # Never final: the operator may have forgotten to allow that network.
    text = f"{host} has only private addresses ({', '.join(addresses)})"
    return Deferred(Reply(451, text, "4.4.4"), Scope.SITE)


def _no_way(code: int, enhanced: str, text: str) -> Bounced:
    """What DNS says of a domain is judged like the same words of a server, at RCPT."""
    reply = Reply(code, text, enhanced)
    answer = read_answer(str(reply), Stage.RCPT)
    return Bounced(reply, Scope.SITE, answer, judge(answer))
