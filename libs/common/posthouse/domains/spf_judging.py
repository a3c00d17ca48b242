"""What a receiver makes of an SPF record whose look-ups are done (RFC 7208 sections 4.6 and 5)."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from posthouse.domains.spf_record import MOST_LOOKUPS
from posthouse.domains.spf_term import SpfTerm, prefix_length

MOST_VOID_LOOKUPS = 2  # RFC 7208 section 4.6.4


class SpfResult(StrEnum):
    """The results of RFC 7208 section 2.6."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"  # noqa: S105 -- a result
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


_BY_QUALIFIER = {
    "+": SpfResult.PASS,
    "-": SpfResult.FAIL,
    "~": SpfResult.SOFTFAIL,
    "?": SpfResult.NEUTRAL,
}
_ERRORS = frozenset({SpfResult.TEMPERROR, SpfResult.PERMERROR})


@dataclass(frozen=True, slots=True)
class SpfStep:
    """A term of a record with what DNS says of the name in it."""

    term: SpfTerm
    addresses: tuple[str, ...] = ()  # of a, mx, ip4, ip6: what matches, without prefix length
    child: "SpfNode | None" = None  # of include and redirect
    exists: bool = False  # of exists: its name has an address, so it matches every host
    is_void: bool = False  # the look-up found nothing
    problem: str = ""  # why it fails the whole record
    failed: str = ""  # DNS gave no answer


@dataclass(frozen=True, slots=True)
class SpfNode:
    """The SPF record of a name, with everything that it leads to."""

    domain: str
    records: tuple[str, ...]  # SPF records of that name; one is right
    steps: tuple[SpfStep, ...] = ()
    is_void: bool = False  # there is no TXT record at all
    failed: str = ""  # DNS gave no answer


def lookups(node: SpfNode) -> int:
    """How many look-ups the whole record asks for, where no term before the last matches."""
    return sum(
        step.term.looks_up + (lookups(step.child) if step.child else 0) for step in node.steps
    )


def void_lookups(node: SpfNode) -> int:
    """How many of them find nothing."""
    return sum(
        step.is_void + (step.child.is_void + void_lookups(step.child) if step.child else 0)
        for step in node.steps
    )


def problems(node: SpfNode) -> Iterator[str]:
    """Why receivers fail the whole record with "permerror", whatever host sends."""
    yield from _problems(node)
    if (count := lookups(node)) > MOST_LOOKUPS:
        yield (
            f"it asks for {count} look-ups and receivers stop at {MOST_LOOKUPS}: take out include, "
            "a, mx and exists terms of services that send no more"
        )
    if (voids := void_lookups(node)) > MOST_VOID_LOOKUPS:
        yield (
            f"{voids} of its look-ups find nothing and receivers stop at {MOST_VOID_LOOKUPS}: take "
            "out the terms whose names do not exist"
        )


def _problems(node: SpfNode) -> Iterator[str]:
    if len(node.records) > 1:
        yield (
            f"{node.domain} has {len(node.records)} SPF records, and may have one: merge them "
            "into one record and remove the others"
        )
    for step in node.steps:
        if step.problem:
            yield f"{step.term.text} in the record of {node.domain}: {step.problem}"
        if step.child is not None:
            yield from _problems(step.child)
            if not step.child.records and not step.child.failed:
                yield (
                    f"{step.term.text}: {step.child.domain} has no SPF record: publish one there, "
                    "or take the term out"
                )


def failures(node: SpfNode) -> Iterator[str]:
    """What DNS gave no answer to."""
    if node.failed:
        yield f"{node.domain}: {node.failed}"
    for step in node.steps:
        if step.failed:
            yield f"{step.term.text}: {step.failed}"
        if step.child is not None:
            yield from failures(step.child)


def result(node: SpfNode, address: str) -> SpfResult:
    """The result for mail from *address* (check_host), limits of look-ups left out."""
    if node.failed:
        return SpfResult.TEMPERROR
    if not node.records:
        return SpfResult.NONE
    if len(node.records) > 1 or any(step.problem for step in node.steps):
        return SpfResult.PERMERROR
    sender = ip_address(address)
    if isinstance(sender, IPv6Address):
        sender = sender.ipv4_mapped or sender
    for step in node.steps:
        found = _of_step(step, sender)
        if found is not None:
            return found
    return SpfResult.NEUTRAL


def _of_step(step: SpfStep, sender: IPv4Address | IPv6Address) -> SpfResult | None:
    """What *step* decides; None lets the next one decide."""
    term = step.term
    if term.name in {"include", "redirect"} and step.child is not None:
        found = result(step.child, str(sender))
        found = SpfResult.PERMERROR if found is SpfResult.NONE else found
        if term.name == "redirect" or found in _ERRORS:
            return found
        return _BY_QUALIFIER[term.qualifier] if found is SpfResult.PASS else None
    if step.failed:
        return SpfResult.TEMPERROR
    matches = (
        term.name == "all"
        or step.exists
        or any(_is_in(sender, one, term.prefix) for one in step.addresses)
    )
    return _BY_QUALIFIER[term.qualifier] if matches and term.qualifier else None


def _is_in(sender: IPv4Address | IPv6Address, address: str, prefix: str) -> bool:
    network = ip_address(address)
    if network.version != sender.version:
        return False
    return sender in ip_network(f"{address}/{prefix_length(network.version, prefix)}", strict=False)
