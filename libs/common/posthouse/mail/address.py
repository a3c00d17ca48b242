"""A mailbox address as SMTP carries it (RFC 5321 section 4.1.2, RFC 6531)."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

import idna

LOCAL_LIMIT = 64  # octets, RFC 5321 section 4.5.3.1.1
DOMAIN_LIMIT = 255  # octets, section 4.5.3.1.2
ADDRESS_LIMIT = 254  # octets: a path has 256, two of them "<" and ">" (section 4.5.3.1.3)
_MOST_ABOVE = 3  # a long name would be asked about in all its parts
_SHOWN = 80  # characters of a refused address that are quoted back

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN_TEXT = rf"{_LABEL}(?:\.{_LABEL})*"
# Nearly every address there is: one match and done.
_PLAIN = re.compile(rf"([{_ATEXT}]+(?:\.[{_ATEXT}]+)*)@({_DOMAIN_TEXT})")

_DOMAIN = re.compile(_DOMAIN_TEXT)
_DOT_STRING = re.compile(rf"[{_ATEXT}\x80-\U0010ffff]+(?:\.[{_ATEXT}\x80-\U0010ffff]+)*")
# With a dot at an end or beside another, as some mail providers gave out for years.
_ODD_DOTS = re.compile(rf"[{_ATEXT}.\x80-\U0010ffff]+")
_QUOTED_STRING = re.compile(r'"(?:[ !#-\[\]-~\x80-\U0010ffff]|\\[ -~])*"')
_QUOTED_PAIR = re.compile(r"\\(.)")
_JOINERS = re.compile("[\u200c\u200d]")  # without width, but some scripts need them (RFC 5892)


class InvalidAddress(ValueError):
    """Not an address that mail can be sent to; the text quotes what was seen and says why."""


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox; two spellings of the same mailbox are equal where RFC 5321 says so.

    The domain is in lower case (in an IDN, mapped by UTS 46); a local part is quoted only where it
    has to be, as one with two dots in a row, and keeps its case.
    """

    local: str
    domain: str

    @staticmethod
    def parse(text: str) -> "Address":
        """Read *text*, without angle brackets; raises InvalidAddress."""
        return _parsed(text)

    @property
    def is_ascii(self) -> bool:
        """Whether it can travel without SMTPUTF8 as it stands."""
        return self.local.isascii() and self.domain.isascii()

    @property
    def is_literal(self) -> bool:
        """Whether the domain is an address literal, as in user@[192.0.2.1] (section 4.1.3)."""
        return self.domain.startswith("[")

    @property
    def ascii_domain(self) -> str:
        """The domain as DNS knows it: A-labels for an IDN (RFC 5890)."""
        if self.domain.isascii():
            return self.domain
        return idna.encode(self.domain).decode("ascii")

    @property
    def portable(self) -> str:
        """As every server and reader can take it, where that is possible: with A-labels."""
        return f"{self.local}@{self.ascii_domain}" if self.local.isascii() else str(self)

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"


@lru_cache(maxsize=4_096)  # a sender is seen with each message, a recipient by each service
def _parsed(text: str) -> Address:
    plain = _PLAIN.fullmatch(text)
    if plain is not None and len(text) <= ADDRESS_LIMIT and plain.end(1) <= LOCAL_LIMIT:
        return Address(plain[1], plain[2].lower())
    # A quoted local part may itself hold an "@": the last one divides.
    local, at, domain = text.rpartition("@")
    if not at:
        raise _refused(text, "it has no @")
    address = Address(_local_part(local, text), _domain(domain, text))
    _check_length(address, text)
    return address


def domain_of(text: str) -> str:
    """The domain, in lower case, of an address that was parsed before (not checked again)."""
    _, at, domain = text.rpartition("@")
    if not at:
        raise _refused(text, "it has no @")
    return domain.lower()


def domains_above(host: str) -> Iterator[str]:
    """The domains that *host*, in A-labels, may be a host of: the nearest first, at most three."""
    for _ in range(_MOST_ABOVE):
        _, _, host = host.partition(".")
        if "." not in host:
            return
        yield host


def normal_form(text: str) -> str:
    """The form in which addresses are compared on lists: spellings of one mailbox are equal.

    All in lower case, because nearly every receiver compares local parts so; the domain as
    A-labels; no quotes that are not needed. "@" and a domain stand for all addresses in it. What is
    neither is only put into lower case.
    """
    try:
        address = _parsed(text)
    except InvalidAddress:
        return _normal_domain(text) if text.startswith("@") else text.lower()
    return f"{address.local.lower()}@{address.ascii_domain}"


def parse_address_or_domain(text: str) -> str:
    """An address, or "@" and a domain, as it is written on lists; raises InvalidAddress."""
    if not text.startswith("@"):
        return str(Address.parse(text))
    return f"@{_domain(text[1:], text)}"


def _normal_domain(text: str) -> str:
    try:
        return f"@{Address('', _domain(text[1:], text)).ascii_domain}"
    except InvalidAddress:
        return text.lower()


def _local_part(local: str, text: str) -> str:
    if not local:
        raise _refused(text, "nothing stands before the @")
    if what := unseen(local):
        raise _refused(text, f"it holds {what}")
    if local.startswith('"'):
        return _unquoted_if_possible(local, text)
    if _DOT_STRING.fullmatch(local):
        return local
    if _ODD_DOTS.fullmatch(local):
        return f'"{local}"'
    raise _refused(text, "its local part would have to be quoted")


def _unquoted_if_possible(local: str, text: str) -> str:
    """Drop quotes that are not needed, as RFC 5321 section 4.1.2 asks of senders."""
    if not _QUOTED_STRING.fullmatch(local):
        raise _refused(text, "its quoted local part is malformed")
    content = _QUOTED_PAIR.sub(r"\1", local[1:-1])
    return content if _DOT_STRING.fullmatch(content) else local


def _domain(domain: str, text: str) -> str:
    if not domain:
        raise _refused(text, "nothing stands after the @")
    if domain.startswith("["):
        return _literal(domain, text)
    if what := unseen(_JOINERS.sub("", domain)):  # UTS 46 would drop what nobody sees
        raise _refused(text, f"it holds {what}")
    try:
        mapped = domain.lower() if domain.isascii() else idna.uts46_remap(domain)
        name = mapped if mapped.isascii() else idna.encode(mapped).decode("ascii")
    except idna.IDNAError as error:
        raise _refused(text, "its domain is not a valid internationalized name") from error
    if not _DOMAIN.fullmatch(name):
        raise _refused(text, "its domain is malformed")
    return mapped


def _literal(domain: str, text: str) -> str:
    content = domain.lower().removeprefix("[")
    if "%" in content:  # a zone of this machine, behind which any text may stand (RFC 4007)
        raise _refused(text, "its address literal is malformed")
    try:
        if content.startswith("ipv6:"):
            return f"[IPv6:{IPv6Address(_inside(content.removeprefix('ipv6:')))}]"
        return f"[{IPv4Address(_inside(content))}]"
    except ValueError as error:
        raise _refused(text, "its address literal is malformed") from error


def _inside(content: str) -> str:
    """The text before the closing bracket; without one, no IP address."""
    return content[:-1] if content.endswith("]") else ""


def _check_length(address: Address, text: str) -> None:
    local = len(address.local.encode())
    domain = len(address.ascii_domain)
    if local > LOCAL_LIMIT:
        raise _refused(text, f"its local part has {local} octets, {LOCAL_LIMIT} are allowed")
    if domain > DOMAIN_LIMIT or local + 1 + domain > ADDRESS_LIMIT:
        raise _refused(text, f"it is longer than {ADDRESS_LIMIT} octets")


def _refused(text: str, why: str) -> InvalidAddress:
    # Escaped and cut: this text travels on into replies and logs.
    shown = ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
    return InvalidAddress(f"{shown} is not a mail address: {why}")


def unseen(text: str) -> str | None:
    """The first character of *text* that nobody sees, such as one that came with a paste.

    By its number and name: "the invisible character U+200B (ZERO WIDTH SPACE)". None: all are seen.
    """
    if text.isprintable():
        return None
    found = next(c for c in text if not c.isprintable())
    kind = "control" if unicodedata.category(found) == "Cc" else "invisible"
    name = unicodedata.name(found, "")
    return f"the {kind} character U+{ord(found):04X}{f' ({name})' if name else ''}"


def is_ip_address(text: str) -> bool:
    """Whether *text* is an IPv4 or IPv6 address without brackets."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
