"""The header of a message on its way in, parsed once, and the body behind it."""

import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from ingest.core import refusals
from ingest.core.refusals import Refusal
from posthouse.mail.header_cost import is_slow, separators
from posthouse.mail.mailbox import Mailbox, mailboxes
from posthouse.mail.message import Field, Header
from posthouse.mail.repeated_fields import SINGLE

# What a mailbox file has before each message (RFC 4155), perhaps quoted; some programs hand it on.
# "From :" begins a field, in an obsolete form.
_MBOX_LINE = re.compile(rb">*+From (?![ \t]*+:)[^\r\n]*+\r\n")
_MBOX_STARTS = (b"From ", b">")
# Where the front of a message was cut within a field.
_CUT_FIELD = re.compile(rb"(?:[!-9;-~]++[ \t]*+:|[ \t])[^\r\n]*+\Z")
# A header has as much as this beside its To, Cc and Bcc, which may name everybody in RCPT TO.
_MOST_OTHER_OCTETS = 65_536
_RECIPIENT_FIELDS = frozenset((b"to", b"cc", b"bcc"))
# Those of a larger header. A recipient with name and address has about ten.
_MOST_SEPARATORS = 32_768
_END = b"\r\n\r\n"
_SHOWN = 80  # octets of a line that are kept to be quoted back


class MessageHead:
    """The header of a message; its fields by name."""

    __slots__ = ("_authors", "_by_name", "header", "octets", "stray_line")

    def __init__(self, octets: bytes, header: Header, stray_line: bytes | None = None) -> None:
        """*octets*: the header as it came, with the empty line that ends it.

        *stray_line*: what stood in its place and is no field; from there on it is body.
        """
        self.octets = octets
        self.header = header
        self.stray_line = stray_line
        self._authors: tuple[Mailbox, ...] | None = None
        self._by_name: dict[bytes, list[Field]] = {}
        for field in header.fields:
            if field[0] in self._by_name:
                self._by_name[field[0]].append(field)
            else:
                self._by_name[field[0]] = [field]

    def fields(self, name: bytes) -> Sequence[Field]:
        """The fields called *name*, in lower case, from the top."""
        return self._by_name.get(name, ())

    def repeated(self) -> Iterator[Sequence[Field]]:
        """The fields that a message may have once and this one has several of, by name."""
        if len(self._by_name) < len(self.header.fields):
            for name, fields in self._by_name.items():
                if len(fields) > 1 and name in SINGLE:
                    yield fields

    def has_any(self, names: AbstractSet[bytes]) -> bool:
        """Whether there is a field of one of these names."""
        return not self._by_name.keys().isdisjoint(names)

    @property
    def authors(self) -> tuple[Mailbox, ...]:
        """The mailboxes of From, of which there has to be one field; raises InvalidAddress."""
        if self._authors is None:
            self._authors = mailboxes(self._by_name[b"from"][0].value)
        return self._authors


def head_and_body(pieces: Sequence[bytes], limit: int) -> tuple[MessageHead, bytes] | Refusal:
    """The message that is in *pieces*; its body is copied once at most.

    A header of more than *limit* octets is refused before it is parsed. So is one that would take
    long: what it has beside its recipients is 64 KiB at most, and its separators are counted. The
    line that a mailbox file has before each message is left out.
    """
    first, rest = front_of(pieces, limit + 1)
    if first.startswith(_MBOX_STARTS) and (line := _MBOX_LINE.match(first)):
        first = first[line.end() :]
    # Enough to see whether the header ends within its limit.
    front = first if len(first) <= 2 * limit else first[: 2 * limit]
    if refusal := refusal_of(front):
        return refusal
    header, end = Header.read(front)
    ends_well = first.startswith(b"\r\n", end)
    is_cut = len(first) > limit and not ends_well and _CUT_FIELD.match(front, end)
    if end + 2 > limit or is_cut:
        return refusals.header_too_big(limit)
    if end > _MOST_OTHER_OCTETS and _other_octets(header) > _MOST_OTHER_OCTETS:
        return refusals.other_fields_too_big(_MOST_OTHER_OCTETS)
    octets = first[: end + 2] if ends_well else first[:end] + b"\r\n"
    body = first[end + 2 :] if ends_well else first[end:]
    if rest:
        body = b"".join((body, *rest))
    stray_line = None if ends_well or end == len(first) else first[end : end + _SHOWN]
    return MessageHead(octets, header, stray_line), body


def has_slow_header(pieces: Sequence[bytes]) -> bool:
    """Whether to read the header of the message belongs in a thread."""
    first = pieces[0] if pieces else b""
    end = first.find(_END)
    return is_slow(first if end < 0 else first[:end])


def front_of(pieces: Sequence[bytes], octets: int) -> tuple[bytes, Sequence[bytes]]:
    """So much of the message that its header ends there, or so many octets; and what follows."""
    if len(pieces) < 2 or _END in pieces[0]:  # noqa: PLR2004
        return (pieces[0] if pieces else b""), pieces[1:]
    count, found = 0, 0
    while count < len(pieces) and found < octets:
        found += len(pieces[count])
        count += 1
    return b"".join(pieces[:count]), pieces[count:]


def refusal_of(front: bytes) -> Refusal | None:
    """Why the header at the *front* of a message is not read, if it would take long."""
    if len(front) <= _MOST_OTHER_OCTETS:
        return None
    end = front.find(_END)
    if 0 <= end <= _MOST_OTHER_OCTETS:
        return None
    seen = separators(front if end < 0 else front[:end])
    return refusals.too_many_separators(_MOST_SEPARATORS) if seen > _MOST_SEPARATORS else None


def _other_octets(header: Header) -> int:
    return sum([len(raw) for name, raw in header.fields if name not in _RECIPIENT_FIELDS])
