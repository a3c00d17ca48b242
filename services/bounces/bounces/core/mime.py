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

SCANNED = 1 << 20  # octets of a message that are read; the rest is ignored
_MOST_OCTETS_OF_HEADER = 1 << 16
_MOST_DEPTH = 50  # of multiparts inside each other
_MOST_PARTS = 200  # leaves in all

_FIELD = re.compile(rb"^([!-9;-~]{1,76})[ \t]*:(.*(?:\n[ \t].*)*)", re.MULTILINE)
_PARAMETER = re.compile(r';\s*([\w*-]{1,40})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))')
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]+")
# Charsets of real mail. Python has other codecs, which are slow, raise, or decode no text.
_CHARSETS = re.compile(
    r"(?:us-ascii|utf-8|iso-8859-\d{1,2}|windows-125\d|koi8-[ru]|gb2312|gbk|gb18030|big5"
    r"|iso-2022-jp|shift_jis|euc-jp|euc-kr)$"
)


@dataclass(frozen=True, slots=True)
class Part:
    """One leaf: its fields by lower-case name (the first of each), and its body with LF ends."""

    fields: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """Lower-case type and subtype; text/plain when none is given (RFC 2045 section 5.2)."""
        return media_type(self.fields)

    def decoded(self) -> bytes:
        """The body with its transfer encoding decoded; unchanged if it cannot be."""
        encoding = self.fields.get("content-transfer-encoding", "").strip().lower()
        if encoding == "quoted-printable":
            return quopri.decodestring(self.body)
        if encoding == "base64":
            try:
                return binascii.a2b_base64(self.body)
            except binascii.Error:
                return self.body
        return self.body

    def text(self, limit: int) -> str:
        """At most *limit* octets of the decoded body as text, by its charset if that is known."""
        charset = known_charset(parameter(self.fields, "charset"))
        return decode(self.decoded()[:limit], charset)


def leaves(content: bytes) -> Iterator[Part]:
    """The leaf parts of *content* in their order, within the bounds.

    A message inside the message is one leaf: the header of a returned original is not a report.
    """
    waiting = [(content[:SCANNED].replace(b"\r\n", b"\n").replace(b"\r", b"\n"), 0)]
    found = 0
    while waiting and found < _MOST_PARTS:
        entity, depth = waiting.pop()
        part = _entity(entity)
        boundary = parameter(part.fields, "boundary").encode("utf-8", "replace")
        if part.media_type.startswith("multipart/") and boundary and depth < _MOST_DEPTH:
            inner = _split(part.body, b"--" + boundary)
            waiting.extend((piece, depth + 1) for piece in reversed(inner))
        else:
            found += 1
            yield part


def top(content: bytes) -> Mapping[str, str]:
    """The fields of the message itself."""
    start = content[:_MOST_OCTETS_OF_HEADER].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return _entity(start).fields


def fields(block: bytes) -> Mapping[str, str]:
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


def known_charset(name: str) -> str:
    """The charset *name* if real mail uses it, else UTF-8."""
    return name.lower() if _CHARSETS.match(name.lower()) else "utf-8"


def decode(raw: bytes, charset: str = "utf-8") -> str:
    """*raw* as text; what does not decode is replaced."""
    return raw.decode(charset, "replace")


def clean(text: str, limit: int = 2000) -> str:
    """One line of at most *limit* characters, without characters that PostgreSQL refuses."""
    line = _UNPRINTABLE.sub(" ", text[: limit * 2]).strip()[:limit]
    return line.encode("utf-8", "replace").decode()  # codecs may produce lone surrogates


def _entity(entity: bytes) -> Part:
    if entity.startswith(b"\n"):
        return Part({}, entity[1:])
    head, _, body = entity.partition(b"\n\n")
    return Part(fields(head), body)


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
