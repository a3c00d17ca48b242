"""The parts of a message that are no multipart, by their place in its body (RFC 2046).

Whoever changes one of them leaves everything else as it is: preamble, boundaries, other parts.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from posthouse.mail.content_type import TEXT, media_type, parameter
from posthouse.mail.message import Header

_MOST_DEPTH = 20  # of multiparts inside each other; a deeper one is a leaf
_MOST_DELIMITERS = 5_000  # of a message: more would take seconds
_NOT_SPLIT = ("multipart/signed", "multipart/encrypted")  # RFC 1847: their octets are what counts
_DELIMITER_END = re.compile(rb"(--)?[ \t]*(?=\r\n|\Z)")
# Searched at a stretch, so that a thread can be interrupted.
_OCTETS_AT_ONCE = 1 << 20


class TooManyParts(ValueError):
    """A message has more parts than anybody reads."""


class MimeLeaf(NamedTuple):
    """A part without parts; its header and its content are parts of the body."""

    header: Header
    content_type: str  # the whole value
    media_type: str
    header_start: int  # in the body; the same as *start* where it is the header of the message
    start: int
    end: int
    boundaries: tuple[bytes, ...]  # around it


def mime_leaves(header: Header, body: bytes) -> Iterator[MimeLeaf]:
    """The leaves of the message of *header* and *body*, in their order.

    What is signed or encrypted is one leaf, and so is a message within it. Raises TooManyParts.
    """
    place = MimeLeaf(header, "", "", 0, 0, len(body), ())
    yield from _leaves(header, body, place, TEXT, iter(range(_MOST_DELIMITERS)))


def _leaves(
    header: Header, body: bytes, place: MimeLeaf, unnamed: str, allowed: Iterator[int]
) -> Iterator[MimeLeaf]:
    value = header.first("Content-Type") or unnamed
    name = media_type(value)
    leaf = place._replace(header=header, content_type=value, media_type=name)
    boundary = parameter(value, "boundary").encode()
    is_split = name.startswith("multipart/") and name not in _NOT_SPLIT and boundary
    if not is_split or len(place.boundaries) > _MOST_DEPTH:
        yield leaf
        return
    # RFC 2046 section 5.1.5: the parts of a digest are messages.
    parts = "message/rfc822" if name == "multipart/digest" else TEXT
    around = (*place.boundaries, boundary)
    for start, end in _parts(body, place.start, place.end, boundary, allowed):
        if (found := _header_of(body, start, end)) is not None:
            own, content = found
            inner = MimeLeaf(own, "", "", start, content, end, around)
            yield from _leaves(own, body, inner, parts, allowed)


def _header_of(body: bytes, start: int, end: int) -> tuple[Header, int] | None:
    """The header of a part and where its content begins; None if readers may not agree on that."""
    if body.startswith(b"\r\n", start):
        return Header(()), start + 2
    at = body.find(b"\r\n\r\n", start, end)
    header, length = Header.read(body[start : at + 2] if at >= 0 else b"")
    return (header, at + 4) if 0 < length == at + 2 - start else None


def _parts(
    body: bytes, start: int, end: int, boundary: bytes, allowed: Iterator[int]
) -> Iterator[tuple[int, int]]:
    """Where the parts of a multipart begin and end, without the line ends around them.

    There is one of *allowed* for each delimiter.
    """
    begin: int | None = None
    for at, after, is_last in _delimiters(body, start, end, boundary):
        if next(allowed, None) is None:
            raise TooManyParts
        if begin is not None and begin <= at:
            yield begin, at
        if is_last:
            return
        begin = after + 2
    if begin is not None and begin < end:
        yield begin, end


def _delimiters(
    body: bytes, start: int, end: int, boundary: bytes
) -> Iterator[tuple[int, int, bool]]:
    """Where each delimiter line begins (at the line end before it) and ends; if it is the last."""
    line = b"--" + boundary
    if body.startswith(line, start) and (found := _DELIMITER_END.match(body, start + len(line))):
        yield start, found.end(), bool(found[1])
    line = b"\r\n" + line
    at = start
    while (at := _find(body, line, at, end)) >= 0:
        found = _DELIMITER_END.match(body, at + len(line), end)
        if found:
            yield at, found.end(), bool(found[1])
        at += len(line)


def _find(body: bytes, wanted: bytes, at: int, end: int) -> int:
    while at < end:
        until = at + _OCTETS_AT_ONCE
        if (found := body.find(wanted, at, min(until + len(wanted), end))) >= 0:
            return found
        at = until
    return -1
