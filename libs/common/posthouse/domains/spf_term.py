"""The terms of an SPF record (RFC 7208 section 4.6.1, and the grammar in section 12)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

# Terms that ask DNS and count.
_LOOKING_UP = frozenset({"include", "a", "mx", "ptr", "exists", "redirect"})
_MECHANISMS = frozenset({"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"})
_WITH_DOMAIN = frozenset({"include", "exists", "redirect", "exp"})
_MODIFIERS = frozenset({"redirect", "exp"})

_TERM = re.compile(r"([+\-~?]?)([A-Za-z][A-Za-z0-9_.\-]*)((?:[=:/].*)?)")
_PREFIX = re.compile(r"((?:/(?:0|[1-9]\d*))?(?://(?:0|[1-9]\d*))?)$")
_MACRO = re.compile(r"%(?:\{[slodiphvSLODIPHV]\d*r?[.\-+,/_=]*\}|%|_|-)")
_TOP_LABEL = re.compile(r"(?=.*[A-Za-z\-])[A-Za-z0-9](?:[A-Za-z0-9\-]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class SpfTerm:
    """One term of a record: a mechanism with its qualifier, or a modifier ("" as qualifier)."""

    qualifier: str  # "+", "-", "~", "?", or "" of a modifier
    name: str  # in lower case
    value: str  # behind ":" or "=", "" if there is none; without the length of a prefix
    prefix: str  # "/24", "//64" or "/24//64" of a, mx and ip4; "//64" of ip6; else ""
    text: str  # as it was written
    error: str = ""  # why receivers fail the whole record because of it

    @property
    def looks_up(self) -> bool:
        """Whether it counts towards the ten look-ups."""
        return self.name in _LOOKING_UP


def terms_of(record: str) -> tuple[SpfTerm, ...]:
    """The terms of an SPF record, as they were written, in order."""
    terms = [_term(text) for text in record.split(" ")[1:] if text]
    once = [t.name for t in terms if not t.qualifier and t.name in _MODIFIERS]
    return tuple(
        replace(t, error=f"{t.name}= may be there once")
        if not t.qualifier and t.name in _MODIFIERS and once.count(t.name) > 1
        else t
        for t in terms
    )


def _term(text: str) -> SpfTerm:
    found = _TERM.fullmatch(text)
    if found is None or not (text.isascii() and text.isprintable()):
        return SpfTerm("+", "", "", "", text, "it is no term of SPF")
    qualifier, name, rest = found[1], found[2].lower(), found[3]
    if rest.startswith("=") and not qualifier:
        term = SpfTerm("", name, rest[1:], "", text)
    else:
        value, prefix = _split(name, rest)
        term = SpfTerm(qualifier or "+", name, value, prefix, text)
    return replace(term, error=next(_errors(term, rest), ""))


def _split(name: str, rest: str) -> tuple[str, str]:
    """The value behind ":", and the length of a prefix behind that."""
    if name not in {"a", "mx", "ip4", "ip6"}:
        return rest.removeprefix(":"), ""
    at = _PREFIX.search(rest)
    prefix = at[1] if at else ""
    value = rest.removesuffix(prefix) if prefix else rest
    # Of ip6 the one slash is the length of IPv6.
    return value.removeprefix(":"), f"/{prefix}" if name == "ip6" and prefix else prefix


def _errors(term: SpfTerm, rest: str) -> Iterator[str]:
    name, value = term.name, term.value
    if not term.qualifier:
        if name in _MODIFIERS:
            yield from _domain_errors(value)
        elif "%" in _MACRO.sub("", value):
            yield "it has a % that is no macro"
    elif name not in _MECHANISMS:
        yield "receivers do not know such a mechanism"
    elif name == "all":
        if rest:
            yield "nothing may follow all"
    elif name in {"ip4", "ip6"}:
        yield from _network_errors(name, value, term.prefix)
    else:
        if rest.startswith(":") or name in _WITH_DOMAIN:
            yield from _domain_errors(value)
        elif value:
            yield f"{rest!r} is neither :DOMAIN nor the length of a prefix"
        yield from _prefix_errors(term.prefix)


def _domain_errors(value: str) -> Iterator[str]:
    """A domain-spec ends in a top-level label behind a dot, or in a macro."""
    plain = _MACRO.sub("", value)
    if "%" in plain:
        yield "it has a % that is no macro"
    elif not value:
        yield "it names no domain"
    elif not value.endswith("}"):
        _, dot, last = value.removesuffix(".").rpartition(".")
        if not dot or not _TOP_LABEL.fullmatch(last):
            yield f"{value!r} is no domain"


def _network_errors(name: str, value: str, prefix: str) -> Iterator[str]:
    kind = IPv4Address if name == "ip4" else IPv6Address
    try:
        kind(value)
    except ValueError:
        yield f"{value!r} is no {'IPv4' if name == 'ip4' else 'IPv6'} address"
    if (name == "ip4" and "//" in prefix) or (name == "ip6" and prefix.count("//") > 1):
        yield f"{prefix!r} is no length of a prefix"
    yield from _prefix_errors(prefix)


def _prefix_errors(prefix: str) -> Iterator[str]:
    for version in (4, 6):
        try:
            prefix_length(version, prefix)
        except ValueError as error:
            yield str(error)


def prefix_length(version: int, prefix: str) -> int:
    """The length for IPv4 or IPv6 in "/24", "//64" or "/24//64"; raises ValueError."""
    most = 32 if version == 4 else 128  # noqa: PLR2004 -- bits of an address
    four, _, six = prefix.partition("//")
    text = four.removeprefix("/") if version == 4 else six  # noqa: PLR2004
    length = int(text) if text else most
    if not 0 <= length <= most:
        raise ValueError(f"/{length} is no length of a prefix")
    return length
