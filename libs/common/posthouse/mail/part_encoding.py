"""MIME parts written in another transfer encoding, where they hold what must not be sent so.

What a reader decodes is the same. What a signature covers and a message within the message stay.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from posthouse.mail.content_type import TEXT, media_type, parameter
from posthouse.mail.message import LINE_LIMIT, Header
from posthouse.mail.transfer_encoding import ENCODED_LINE, quoted_printable

_MOST_DEPTH = 20  # of multiparts inside each other; deeper ones stay as they are
_NOT_SPLIT = ("multipart/signed", "multipart/encrypted")  # RFC 1847: their octets are what counts
_TRANSFER_ENCODING = "Content-Transfer-Encoding"

IsUnfit: TypeAlias = Callable[[bytes], bool]
"""Whether a content must not be sent as it is."""


class _Entity(NamedTuple):
    """A message or a part of one: a header and a body."""

    header: Header
    body: bytes


def reencode_parts(header: Header, body: bytes, is_unfit: IsUnfit) -> tuple[Header, bytes]:
    """The message of *header* and *body* with those parts encoded again that are unfit.

    The header gets the fields that say so: Content-Transfer-Encoding, and MIME-Version if need be.
    Parts that cannot be encoded again stay as they are.
    """
    entity = _reencoded(_Entity(header, body), (), is_unfit)
    if entity is None or entity.body == body:
        return header, body
    if entity.header is not header and not header.first("MIME-Version"):
        entity = entity._replace(header=entity.header.replace("MIME-Version", "1.0"))
    return entity.header, entity.body


def _reencoded(
    entity: _Entity, boundaries: tuple[bytes, ...], is_unfit: IsUnfit, unnamed: str = TEXT
) -> _Entity | None:
    """*entity* with a body that is fit, None for one that stays; *boundaries* are around.

    *unnamed*: what it is without a Content-Type.
    """
    header, body = entity
    if not is_unfit(body):
        return None
    value = header.first("Content-Type") or unnamed
    name = media_type(value)
    if name.startswith("multipart/"):
        boundary = parameter(value, "boundary").encode()
        if name in _NOT_SPLIT or not boundary or len(boundaries) > _MOST_DEPTH:
            return None
        # RFC 2046 section 5.1.5: messages, which must not be encoded.
        parts = "message/rfc822" if name == "multipart/digest" else TEXT
        around = (*boundaries, boundary)
        return _Entity(header, b"".join(_split(body, around, is_unfit, parts)))
    if name.startswith("message/"):
        return None
    return _leaf(entity, boundaries)


def _leaf(entity: _Entity, boundaries: tuple[bytes, ...]) -> _Entity | None:
    header, body = entity
    match (header.first(_TRANSFER_ENCODING) or "7bit").lower():
        case "7bit" | "8bit" | "binary":
            body = quoted_printable(body)
            header = header.replace(_TRANSFER_ENCODING, "quoted-printable")
        case "quoted-printable":
            body = b"".join(_with_long_lines_cut(body, _soft_breaks))
        case "base64":
            body = b"".join(_with_long_lines_cut(body, _short_lines))
        case _:
            return None
    if any(_begins_line(body, boundary) for boundary in boundaries):
        return None  # the new line ends made what looks like a boundary: as good as never
    return _Entity(header, body)


def _begins_line(body: bytes, boundary: bytes) -> bool:
    return body.startswith(b"--" + boundary) or b"\r\n--" + boundary in body


def _split(
    body: bytes, boundaries: tuple[bytes, ...], is_unfit: IsUnfit, unnamed: str
) -> Iterator[bytes]:
    """*body*, a multipart, in pieces: its parts encoded again, all between them as it is."""
    delimiter = re.compile(
        rb"(?:\A|\r\n)--" + re.escape(boundaries[-1]) + rb"(--)?[ \t]*(?=\r\n|\Z)"
    )
    begin: int | None = None  # of a part, at the line end before it
    for match in delimiter.finditer(body):
        if begin is not None:
            yield _part(body[begin : match.start()], boundaries, is_unfit, unnamed)
        else:
            yield body[: match.start()]
        yield match[0]
        begin = match.end()
        if match[1]:
            yield body[begin:]
            return
    yield body if begin is None else _part(body[begin:], boundaries, is_unfit, unnamed)


def _part(content: bytes, boundaries: tuple[bytes, ...], is_unfit: IsUnfit, unnamed: str) -> bytes:
    """A part of a multipart, behind a line end, encoded again if it is unfit."""
    if not is_unfit(content):
        return content
    header, end = Header.read(content[2:])
    if not content.startswith(b"\r\n", 2 + end):
        return content  # no part that two readers would read in one way
    entity = _reencoded(_Entity(header, content[2 + end + 2 :]), boundaries, is_unfit, unnamed)
    return content if entity is None else b"\r\n" + bytes(entity.header) + entity.body


def _with_long_lines_cut(body: bytes, cut: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """The lines of *body* with their ends, the long ones as *cut* divides them."""
    start = 0
    while start < len(body):
        end = body.find(b"\r\n", start)
        line = body[start:] if end < 0 else body[start:end]
        start += len(line) + 2
        yield cut(line) if len(line) > LINE_LIMIT else line
        if end >= 0:
            yield b"\r\n"


def _soft_breaks(line: bytes) -> bytes:
    """A line in quoted-printable, in pieces that are one line when it is decoded."""
    pieces, at = [], 0
    while len(line) - at > ENCODED_LINE:
        end = at + ENCODED_LINE - 1
        # Never within =XX.
        end -= next((back for back in (1, 2) if line[end - back] == ord("=")), 0)
        pieces.append(line[at:end])
        at = end
    return b"=\r\n".join([*pieces, line[at:]])


def _short_lines(line: bytes) -> bytes:
    """A line in base64, which may end anywhere."""
    pieces = [line[at : at + ENCODED_LINE] for at in range(0, len(line), ENCODED_LINE)]
    return b"\r\n".join(pieces)
