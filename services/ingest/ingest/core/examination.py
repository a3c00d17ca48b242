"""What the door reads in a complete message before it takes it."""

import re
from collections.abc import Collection, Iterator, Sequence

from ingest.core import lane, replies
from ingest.core.refusal import Reason, Refusal
from ingest.core.sender import check_author
from posthouse.mail.lane import Lane
from posthouse.mail.message import Field, split

_MOST_HOPS = 50
_NAMES = b"|".join((b"from", b"received", *lane.FIELDS))
# Six names of some twenty are of interest: they are looked for, and the others not even read.
_WANTED = re.compile(rb"\n(" + _NAMES + rb")[ \t]*+:")
_FIELD_END = re.compile(rb"\r\n(?![ \t])")


def header_and_body(pieces: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The message whose lines are in *pieces*; its body is copied once."""
    header, body = split(pieces[0])
    if len(pieces) == 1:
        return header, body
    if body:
        return header, b"".join((body, *pieces[1:]))
    return split(b"".join(pieces))  # the header may go on in the second piece


def examine(
    header: bytes, *, domains: Collection[str], default: Lane, highest: Lane, limit: int
) -> Lane | Refusal:
    """The lane the message goes into, or why it is turned away.

    *header* comes from `split`. *domains* are the account's verified ones, *default* and *highest*
    its credential's lanes, *limit* the octets a header may have.
    """
    if len(header) > limit:
        return Refusal(Reason.HEADER, replies.header_too_big(len(header), limit))
    hops = 0
    authors: list[str] = []
    priorities: dict[bytes, str] = {}
    for field in wanted_fields(header):
        if field.name == b"from":
            authors.append(field.value)
        elif field.name == b"received":
            hops += 1
        else:
            priorities.setdefault(field.name, field.value)  # of several the topmost counts

    if hops > _MOST_HOPS:
        return Refusal(Reason.LOOP, replies.LOOP)
    if refusal := check_author(authors, domains):
        return refusal
    return lane.choose(lane.requested(priorities), default, highest)


def wanted_fields(header: bytes) -> Iterator[Field]:
    """The fields of *header* that decide here, from the top, as `Header.parse` reads them."""
    for match in _WANTED.finditer(b"\n" + header.lower()):
        # Where the name begins, as the line end put before the header stands for the one found.
        start = match.start()
        end = _FIELD_END.search(header, start)
        assert end is not None  # an empty line ends the header
        yield Field(match[1], header[start : end.start() + 2])
