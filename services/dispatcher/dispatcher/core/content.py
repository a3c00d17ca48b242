"""The message as it goes over the wire: what must never leave, and dot-stuffing."""

from collections.abc import Iterator
from typing import TypeAlias

from posthouse.mail.message import has_bare_line_end

# What is written in one go; of more, this much at most is copied at a time.
PIECE = 256 * 1024

Octets: TypeAlias = bytes | memoryview


def flaw(header: bytes, body: bytes) -> str | None:
    """Why this message must not leave, or None.

    A bare CR, a bare LF or a NUL lets a receiver see another end of data than we do (SMTP
    smuggling), so each may only occur as CRLF or not at all (RFC 5321 section 2.3.8).
    """
    if has_bare_line_end(header) or has_bare_line_end(body):
        return "it holds a bare CR or LF, or a NUL"
    if not header.endswith(b"\r\n"):
        return "its header does not end with a line end"
    return None


def on_the_wire(header: bytes, body: bytes) -> Iterator[tuple[Octets, ...]]:
    """What to send after 354, header, body and final dot (RFC 5321 section 4.5.2), in portions.

    *header* ends with a line end. A message of up to PIECE octets is one portion; nothing is
    copied but pieces in which a line begins with a dot.
    """
    end = b".\r\n" if body.endswith(b"\r\n") or not body else b"\r\n.\r\n"
    if len(body) <= PIECE:
        return iter(((_stuffed(header), _stuffed(body), end),))
    return _in_pieces(_stuffed(header), body, end)


def _in_pieces(header: bytes, body: bytes, end: bytes) -> Iterator[tuple[Octets, ...]]:
    yield (header,)
    for start in range(0, len(body), PIECE):
        yield (_piece(body, start),)
    yield (end,)


def _stuffed(part: bytes) -> bytes:
    # It begins at the start of a line. Searching backwards takes half the time.
    if part.rfind(b"\r\n.") >= 0:
        part = part.replace(b"\r\n.", b"\r\n..")
    return b"." + part if part.startswith(b".") else part


def _piece(body: bytes, start: int) -> Octets:
    """The piece of *body* from *start* on, stuffed, wherever lines were cut."""
    if not start:
        return _stuffed(body[:PIECE])
    end = start + PIECE
    line_end = start - 2  # a dot that begins the piece may begin a line
    if body.rfind(b"\r\n.", line_end, end) < 0:
        return memoryview(body)[start:end]
    return body[line_end:end].replace(b"\r\n.", b"\r\n..")[2:]
