"""Splits a message into its leaf parts, within fixed bounds (RFC 2045, RFC 2046).

The input comes from strangers: nothing here raises, and time is linear in the octets scanned. The
standard library's parser compares every line with every open boundary, which takes quadratic time
for deeply nested messages.
"""

import binascii
import quopri
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bounces.core.reports.plain_text import clean, decode

SCANNED = 1 << 20  # octets of a message that are read; the rest is ignored
_MOST_OCTETS_SPLIT = 16 * SCANNED  # by all multiparts together, which may be inside each other
_MOST_OCTETS_OF_HEADER = 1 << 16
_MOST_DEPTH = 50  # of multiparts inside each other
_MOST_PARTS = 200  # leaves in all

_FIELD = re.compile(rb"^([!-9;-~]{1,76})[ \t]*:(.*(?:\n[ \t].*)*)", re.MULTILINE)
_PARAMETER = re.compile(r';\s*([\w*-]{1,40})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))')
# Where a part begins in a message that does not declare its boundary, or declares another.
_FIRST_PART = re.compile(
    rb"^--([^\s][^\n]{0,120}?)[ \t]*\n(?:[\w-]{1,40}:[^\n]*\n(?:[ \t][^\n]*\n){0,9}){0,9}?"
    rb"content-type:[ \t]*([\w./-]{1,60})",
    re.MULTILINE | re.IGNORECASE,
)
_SAYS_REPORT = re.compile(
    rb"^content-type:[ \t]*message/(?:global-)?(?:delivery-status|feedback-report)",
    re.MULTILINE | re.IGNORECASE,
)
_PREAMBLE_READ = 1 << 16  # octets in which an undeclared boundary is looked for


@dataclass(frozen=True, slots=True)
class Part:
    """One leaf: its fields by lower-case name (the first of each), and its body with LF ends."""

    fields: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """Lower-case type and subtype; text/plain when none is given (RFC 2045 section 5.2)."""
        return media_type(self.fields)

    def decoded(self, limit: int) -> bytes:
        """About *limit* octets of the body, without its transfer encoding if that can be undone."""
        encoding = self.fields.get("content-transfer-encoding", "").strip().lower()
        if encoding == "quoted-printable":
            return quopri.decodestring(self.body[: 3 * limit])[:limit]
        if encoding == "base64":
            letters = b"".join(self.body[: 2 * limit].split())
            whole = letters if len(self.body) <= 2 * limit else letters[: len(letters) // 4 * 4]
            try:
                return binascii.a2b_base64(whole)[:limit]
            except binascii.Error:
                pass
        return self.body[:limit]

    def text(self, limit: int) -> str:
        """At most *limit* octets of the decoded body as text, by its charset if that is known."""
        return decode(self.decoded(limit), parameter(self.fields, "charset"))


def leaves(content: bytes) -> Iterator[Part]:
    """The leaf parts of *content* in their order, within the bounds.

    A message inside the message is one leaf: the header of a returned original is not a report.
    """
    waiting = [(_start(content[:SCANNED]), 0)]
    found, left = 0, _MOST_OCTETS_SPLIT
    while waiting and found < _MOST_PARTS:
        entity, depth = waiting.pop()
        part = _entity(entity)
        inner: list[bytes] = []
        if depth < _MOST_DEPTH and left > len(entity):
            inner = _inner(part, depth)
        if inner:
            left -= len(entity)
            waiting.extend((piece, depth + 1) for piece in reversed(inner))
        else:
            found += 1
            yield part


def top(content: bytes) -> Mapping[str, str]:
    """The fields of the message itself."""
    return _entity(_start(content[:_MOST_OCTETS_OF_HEADER])).fields


def header_of(message: bytes) -> bytes:
    """The header of *message*, which has LF ends."""
    return message[:_MOST_OCTETS_OF_HEADER].lstrip(b"\n").partition(b"\n\n")[0]


def fields(block: bytes) -> dict[str, str]:
    """Name and unfolded value of each field in *block*, the first of each name."""
    found: dict[str, str] = {}
    for name, value in _FIELD.findall(block[:_MOST_OCTETS_OF_HEADER]):
        found.setdefault(name.decode("ascii").lower(), clean(decode(value)))
    return found


def media_type(of: Mapping[str, str]) -> str:
    """Lower-case type and subtype that the Content-Type field in *of* names."""
    return of.get("content-type", "text/plain").partition(";")[0].strip().lower()


def parameter(of: Mapping[str, str], name: str) -> str:
    """A parameter of the Content-Type field in *of*, "" where there is none."""
    for known, quoted, plain in _PARAMETER.findall(of.get("content-type", "")[:2000]):
        if known.lower() == name:
            return str(re.sub(r"\\(.)", r"\1", quoted) or plain)
    return ""


def _start(content: bytes) -> bytes:
    """*content* with LF ends, from its first field on: blanks and an mbox line may come first."""
    text = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    first, _, rest = text[:1000].lstrip().partition(b"\n")
    if first.startswith((b"From ", b">From ")):
        return text[text.find(b"\n", text.find(b"From ")) + 1 :] if rest else text
    blanks = len(text[:1000]) - len(text[:1000].lstrip())
    return text[blanks:] if _FIELD.match(text[blanks : blanks + 100]) else text


def _entity(entity: bytes) -> Part:
    if entity.startswith(b"\n"):
        return Part({}, entity[1:])
    head, _, body = entity.partition(b"\n\n")
    return Part(fields(head), body)


def _inner(part: Part, depth: int) -> list[bytes]:
    """The entities that *part* is made of, by its own boundary or the one that is used in it."""
    multipart = part.media_type.startswith("multipart/")
    boundary = parameter(part.fields, "boundary").encode("utf-8", "replace")
    if multipart and boundary and (inner := _split(part.body, b"--" + boundary)):
        return inner
    start = part.body[:_PREAMBLE_READ]
    if not multipart and (depth or not _SAYS_REPORT.search(start)):
        return []
    first = _FIRST_PART.search(start)
    if first is None:
        return []
    preamble = b"\n" + part.body[: first.start()]
    return [preamble, *_split(part.body[first.start() :], b"--" + first[1])]


def _split(body: bytes, boundary: bytes) -> list[bytes]:
    """The text between the *boundary* lines (RFC 2046 section 5.1.1); the last may be missing."""
    body = b"\n" + body
    pieces: list[bytes] = []
    begin = None
    for start, end, closing in _delimiters(body, b"\n" + boundary):
        if begin is not None:
            pieces.append(body[begin:start])
        if closing or len(pieces) == _MOST_PARTS:
            return pieces
        begin = end
    if begin is not None:
        pieces.append(body[begin:])
    return pieces


def _delimiters(body: bytes, delimiter: bytes) -> Iterator[tuple[int, int, bool]]:
    """Where each delimiter line starts, where the next one begins, and whether it is the last."""
    at = body.find(delimiter)
    while at >= 0:
        after = at + len(delimiter)
        line_end = body.find(b"\n", after)
        line_end = len(body) if line_end < 0 else line_end
        rest = body[after:line_end].strip()
        # Anything else is the line of a longer boundary that begins like this one.
        if rest in (b"", b"--"):
            yield at, line_end + 1, rest == b"--"
        at = body.find(delimiter, line_end)
