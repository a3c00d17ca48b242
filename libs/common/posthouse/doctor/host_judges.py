"""How the world sees the hosts of this relay: names, addresses, SPF, blocklists."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from posthouse.doctor.check_result import (
    CheckName,
    CheckResult,
    advice,
    right,
    unknown,
    wrong,
)
from posthouse.doctor.key_judges import ActiveKey, judge_keys
from posthouse.domains.findings import Finding, FindingState, judge_mx
from posthouse.domains.setup_records import RecordPurpose
from posthouse.domains.spf_findings import judge_spf
from posthouse.domains.spf_judging import SpfNode
from posthouse.mail.dns_answer import (
    DnsAnswer,
    Found,
    LookupFailed,
    NoRecords,
    NoSuchName,
    values_of,
)

# RFC 2606, RFC 6761, RFC 6762, RFC 9476: names that lead nowhere, or only within a network.
_NOT_PUBLIC = frozenset(
    {"alt", "example", "internal", "invalid", "lan", "local", "localdomain", "localhost", "test"}
)
_TRY_AGAIN = "try again, or name servers that answer: POSTHOUSE_NAMESERVERS"
# What a list answers that does not know who asks says nothing of the address (Spamhaus: codes of
# 127.255.255.0/24, for public resolvers and too many questions).
_REFUSED = ip_network("127.255.255.0/24")


@dataclass(frozen=True, slots=True)
class AddressFacts:
    """An address that mail leaves from, as DNS shows it."""

    address: str
    reverse: DnsAnswer  # PTR
    forward: Mapping[str, DnsAnswer]  # addresses of each of these names
    lists: Mapping[str, DnsAnswer]  # by the zone of a blocklist: what it says of the address


@dataclass(frozen=True, slots=True)
class ReturnPathFacts:
    """The host that reports come back to."""

    host: str
    receiving: str  # the name of the host that takes them
    mx: DnsAnswer
    addresses: DnsAnswer
    spf: SpfNode
    texts: Sequence[str]
    expected_spf: str


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What DNS says of us."""

    hostname: str
    made_up: DnsAnswer  # of a name that does not exist
    addresses: DnsAnswer
    egress: Sequence[AddressFacts] = ()
    return_path: ReturnPathFacts | None = None
    sends_by_smarthost: bool = False  # then the world sees the smarthost, and not us
    asked: tuple[str, ...] = ()  # name servers
    keys: Sequence[tuple[ActiveKey, DnsAnswer]] = ()


def judge_hostname(hostname: str, differing: str) -> Iterator[CheckResult]:
    """Whether the relay has a name that the world can look up."""
    top = hostname.rpartition(".")[2].lower()
    if "." not in hostname or top in _NOT_PUBLIC:
        mend = (
            "POSTHOUSE_HOSTNAME=relay.example.com, a public name of this machine, for all programs"
        )
        seen = f"{hostname!r} is no name for the world"
        yield wrong(CheckName.HOSTNAME, "POSTHOUSE_HOSTNAME", seen, mend)
    elif differing:
        mend = "give all programs of the relay the same POSTHOUSE_HOSTNAME"
        yield wrong(CheckName.HOSTNAME, "POSTHOUSE_HOSTNAME", f"they differ: {differing}", mend)
    else:
        yield right(CheckName.HOSTNAME, "POSTHOUSE_HOSTNAME", hostname)


def judge_hosts(facts: HostFacts) -> Iterator[CheckResult]:
    """All that DNS says; nothing but that of the resolver, where that cannot be relied on."""
    resolver = _resolver(facts)
    yield resolver
    if resolver.state is not FindingState.RIGHT:
        return
    if not facts.sends_by_smarthost:
        yield _host_address(facts)
        for one in facts.egress:
            yield _reverse(facts.hostname, one)
            yield from _listed(one)
    if facts.return_path is not None:
        yield from _return_path(facts, facts.return_path)
    yield from judge_keys(facts.keys)


def _resolver(facts: HostFacts) -> CheckResult:
    asked = ", ".join(facts.asked) or "the system's name servers"
    match facts.made_up:
        case Found(values):
            seen = f"{asked}: a name that does not exist has the address {values[0]}"
            mend = "use name servers that do not make answers up: POSTHOUSE_NAMESERVERS"
            return wrong(CheckName.RESOLVER, "name servers", seen, mend)
        case LookupFailed(reason):
            seen = f"{asked}: no answer ({reason})"
            mend = "start a resolver on this machine, and name it in POSTHOUSE_NAMESERVERS"
            return wrong(CheckName.RESOLVER, "name servers", seen, mend)
    return right(CheckName.RESOLVER, "name servers", f"{asked} answer")


def _host_address(facts: HostFacts) -> CheckResult:
    match facts.addresses:
        case Found(values):
            return right(CheckName.HOST_ADDRESS, facts.hostname, ", ".join(values))
        case LookupFailed(reason):
            return unknown(CheckName.HOST_ADDRESS, facts.hostname, reason, _TRY_AGAIN)
    what = "does not exist" if facts.addresses == NoSuchName() else "has no address"
    mend = f"publish an A record of {facts.hostname}, or correct POSTHOUSE_HOSTNAME"
    return wrong(CheckName.HOST_ADDRESS, facts.hostname, f"it {what} in DNS", mend)


def _reverse(hostname: str, facts: AddressFacts) -> CheckResult:
    check, subject = CheckName.REVERSE_NAME, facts.address
    mend = f"have the owner of {subject} (your provider) set its PTR record to {hostname}"
    match facts.reverse:
        case LookupFailed(reason):
            return unknown(check, subject, reason, _TRY_AGAIN)
        case NoSuchName() | NoRecords():
            return wrong(check, subject, "it has no name (PTR)", mend)
    names = values_of(facts.reverse)
    shown = ", ".join(names)
    back = [name for name in names if subject in values_of(facts.forward.get(name, NoRecords()))]
    if not back:
        failed = [a for a in facts.forward.values() if isinstance(a, LookupFailed)]
        if failed:
            return unknown(check, subject, failed[0].reason, _TRY_AGAIN)
        return wrong(check, subject, f"its name {shown} does not lead back to it", mend)
    if hostname not in back:
        return advice(check, subject, f"its name is {shown}, and EHLO says {hostname}", mend)
    return right(check, subject, shown)


def _listed(facts: AddressFacts) -> Iterator[CheckResult]:
    for zone, answer in facts.lists.items():
        subject = f"{facts.address} at {zone}"
        match answer:
            case Found(values) if all(ip_address(code) in _REFUSED for code in values):
                seen = f"the list does not answer us ({', '.join(values)})"
                mend = (
                    "ask it through a resolver of your own (POSTHOUSE_NAMESERVERS), or with a key"
                )
                yield unknown(CheckName.BLOCKLIST, subject, seen, mend)
            case Found(values):
                seen = f"it is listed ({', '.join(values)})"
                mend = f"find out what was sent, stop it, then ask {zone} to take the address off"
                yield wrong(CheckName.BLOCKLIST, subject, seen, mend)
            case LookupFailed(reason):
                yield unknown(CheckName.BLOCKLIST, subject, reason, _TRY_AGAIN)
            case _:
                yield right(CheckName.BLOCKLIST, subject, "not listed")


def _return_path(facts: HostFacts, path: ReturnPathFacts) -> Iterator[CheckResult]:
    purpose = RecordPurpose.RETURN_PATH
    mx = judge_mx(purpose, path.host, path.receiving, path.mx, path.addresses)
    yield _converted(CheckName.RETURN_PATH, mx)
    if facts.sends_by_smarthost:  # whose addresses its own SPF record permits
        return
    ours = values_of(facts.addresses)
    spf = judge_spf(purpose, path.spf, path.texts, path.expected_spf, ours)
    yield _converted(CheckName.SPF, spf)


def _converted(check: CheckName, found: Finding) -> CheckResult:
    """What a look at one record of a domain found, as a result."""
    shown = "; ".join(found.seen) or "no record"
    if found.state is FindingState.RIGHT:
        return right(check, found.name, shown)
    seen, mend = f"{shown}: {found.mend}", f"publish {found.type}: {found.expected}"
    return CheckResult(check, found.name, found.state, seen, mend)
