"""Who a message says it is from: the mailboxes of a From header (RFC 5322 section 3.4).

Programs differ in how they read a malformed From, and that difference is how one sender poses as
another: what cannot be read in exactly one way is refused.
"""

import re

from posthouse.mail.address import Address, InvalidAddress

# No group is possessive, which Python before 3.11.5 gets wrong; their parts exclude each other, so
# that a hostile field still costs one pass.
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PLAIN = r'[^<>"()\\, ]++'
# Nearly every From there is: one address, alone or behind a display name without specials or in
# quotes.
_USUAL = re.compile(rf'({_PLAIN})|(?:[^"<>(),\\@]*+|{_QUOTED} *+)<({_PLAIN})>')

_PART = re.compile(rf'(?:{_QUOTED}|[^",]++)*')
_ANGLE = re.compile(rf"(?:{_QUOTED}|[^<>\"]++)*<((?:{_QUOTED}|[^<>\"]++)*)>\s*+")


def mailboxes(value: str) -> tuple[Address, ...]:
    """Every address in an unfolded From header; raises InvalidAddress, also when there is none."""
    if usual := _USUAL.fullmatch(value):
        return (Address.parse(usual[1] or usual[2]),)
    *inner, last = _parts(_without_comments(value))
    # "Doe, John <john@example>" is malformed but common; a part without @ hides no address.
    return tuple(_mailbox(part) for part in (*(p for p in inner if "@" in p), last))


def _mailbox(part: str) -> Address:
    if angle := _ANGLE.fullmatch(part):
        return Address.parse(angle[1].strip())
    return Address.parse(part.strip())


def _parts(value: str) -> list[str]:
    """*value* cut at commas outside of quoted strings."""
    parts = []
    start = 0
    while True:
        part = _PART.match(value, start)
        assert part is not None  # it matches nothing, too
        parts.append(part[0])
        start = part.end() + 1
        if part.end() == len(value):
            return parts
        if value[part.end()] != ",":
            raise InvalidAddress("a quoted string does not end")


def _without_comments(value: str) -> str:
    """*value* with each comment, which may hold others, replaced by a space (section 3.2.2)."""
    if "(" not in value and ")" not in value:
        return value
    kept: list[str] = []
    depth, quoted, escaped = 0, False, False
    for char in value:
        opens = char == "(" and not quoted and not escaped
        closes = char == ")" and not quoted and not escaped
        if char == '"' and not depth and not escaped:
            quoted = not quoted
        depth += opens - closes
        if depth < 0:
            break
        if not depth:
            kept.append(" " if closes else char)
        escaped = char == "\\" and not escaped
    if depth:
        raise InvalidAddress("its comments are not balanced")
    return "".join(kept)
