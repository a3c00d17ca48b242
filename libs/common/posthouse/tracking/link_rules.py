"""Which links are tracked, and where a tracked one leads.

A link that is not on the web stays as it is (mailto:, tel:, cid:, a fragment), and so does one to
unsubscribe by: it must work where nothing of ours does.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import unescape
from html.entities import html5
from typing import NamedTuple, TypeVar

import idna

from posthouse.tracking.traffic_source import with_source

# No user or password before the host: that is no link for everyone, and none to be stored. A host
# has no control character, which no text in the database may be.
_ON_THE_WEB = re.compile(
    r"(https?://)([^\x00-\x20\x7f/?#\\@:%\[\]<>^|]+)((?::[0-9]{1,5})?)(?=[/?#]|\Z)",
    re.IGNORECASE | re.ASCII,  # else U+017F would be an "s"
)
_MOST_CHARACTERS = 8_192
_MOST_KNOWN_CHARACTERS = 256  # of what is kept, so that all of it is a few MB
# In a link, or in what is clicked on, in lower case: parts of words, so that they are few.
_UNSUBSCRIBING = (
    "unsub", "optout", "opt-out", "opt_out", "opt out", "list-remove", "abmeld", "abbestell",
    "austragen", "sabonn", "sinscrire", "de-baja", "de baja", "desuscri", "descadastr", "disiscri",
    "cancella iscri", "afmeld", "uitschrij", "avregistr", "wypisz",
)  # fmt: skip
_REFERENCE = re.compile(r"&(?:#[xX]?[0-9A-Fa-f]+;?|([A-Za-z][A-Za-z0-9]*+)(;|(?!=)))")
_DROPPED = dict.fromkeys(map(ord, "\t\n\r"))
_AROUND = "".join(map(chr, range(33)))  # controls and the blank
_UNSAFE = re.compile(r"[^!#$%&'()*+,\-./0-9:;=?@A-Z_a-z~]")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LinkRules:
    """What decides about the links of one message."""

    no_track_hosts: frozenset[str] = frozenset()  # and all below them
    untracked: frozenset[str] = frozenset()  # URLs such as those of List-Unsubscribe
    source: str = ""  # `posthouse.tracking.traffic_source`

    def targets(self, links: Sequence[str], contents: Sequence[str], *, is_html: bool) -> list[str]:
        """Where each of *links* leads once it is tracked, in ASCII; "" for one that is not.

        *links* are as they are written, and so are *contents*: what is clicked on for each of
        them, or stands before it.
        """
        read = _in_html if is_html else _in_text
        exempt = tuple([f".{host}" for host in self.no_track_hosts])
        targets: list[str] = []
        for link, content in zip(links, contents, strict=True):
            found = read(link)
            if (
                found is None
                or found.url in self.untracked
                or found.host.endswith(exempt)
                or _names_unsubscribing(content)
            ):
                targets.append("")
            else:
                targets.append(found.target)
        return [with_source(target, self.source) for target in targets] if self.source else targets


class _WebLink(NamedTuple):
    url: str  # as a browser reads it
    host: str  # in lower case, behind a dot
    target: str  # in ASCII


def _read(link: str) -> _WebLink | None:
    """What *link* says; None for one that is not on the web."""
    url = _as_read(link)
    found = _ON_THE_WEB.match(url)
    if found is None or len(url) > _MOST_CHARACTERS:
        return None
    scheme, host, port = found.groups()
    if not host.isascii():
        host = _a_labels(host)
    if not host:
        return None
    target = url
    if not url.isascii() or _UNSAFE.search(url, found.end()):
        target = f"{scheme}{host}{port}{_UNSAFE.sub(_percent, url[found.end() :])}"
    return _WebLink(url, f".{host.lower()}", target)


def _known(read: Callable[[str], T]) -> Callable[[str], T]:
    """*read*, which keeps what it said last: messages of one mailing have the same links."""
    known = lru_cache(maxsize=2_048)(read)
    return lambda text: known(text) if len(text) <= _MOST_KNOWN_CHARACTERS else read(text)


@_known
def _in_text(link: str) -> _WebLink | None:
    """What *link* says; None for one that is not on the web, or to unsubscribe by."""
    return None if _names_unsubscribing(link) else _read(link)


@_known
def _in_html(value: str) -> _WebLink | None:
    """As `_in_text`, for the value of an attribute."""
    return _in_text(unescape_attribute(value))


@_known
def _names_unsubscribing(text: str) -> bool:
    text = text.lower()
    return any(word in text for word in _UNSUBSCRIBING)


def _as_read(url: str) -> str:
    """*url* without what a browser leaves out (WHATWG URL, section 4.4)."""
    url = url.strip(_AROUND)
    return url if url.isprintable() else url.translate(_DROPPED)


def _a_labels(host: str) -> str:
    """*host* as it is asked for in DNS; "" if it cannot be."""
    try:
        return idna.encode(host, uts46=True).decode()
    except UnicodeError:
        return ""


def _percent(found: re.Match[str]) -> str:
    return "".join([f"%{octet:02X}" for octet in found[0].encode("utf-8", "replace")])


def unescape_attribute(value: str) -> str:
    """The value of an attribute with its character references resolved (WHATWG HTML, 13.2.5.73).

    Where ``=``, a letter or a digit follows a name without semicolon, it is no reference: in
    ``?a=1&copy=2`` nothing is.
    """
    if "&" not in value:
        return value
    plain = value.replace("&amp;", "&")
    # Most references are that one, and no other is left.
    return plain if "&" not in value.replace("&amp;", "") else _REFERENCE.sub(_referenced, value)


def _referenced(found: re.Match[str]) -> str:
    name = found[1]
    if name is None:
        return unescape(found[0])
    return html5.get(name + found[2], found[0])


def urls_in(list_unsubscribe: Iterable[str]) -> frozenset[str]:
    """The URLs that values of List-Unsubscribe name (RFC 2369)."""
    return frozenset(
        url.strip() for value in list_unsubscribe for url in re.findall(r"<([^<>]*)>", value)
    )
