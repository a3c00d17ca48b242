"""The text of a MIME part, and the same text with links put in, in the part's own encodings.

What is not put in keeps every octet that a reader decodes; where nothing has to be decoded to find
the links, every octet it has.
"""

import codecs
import re
from binascii import Error, a2b_base64, a2b_qp, b2a_qp
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, TypeAlias

from posthouse.mail.content_type import parameter
from posthouse.mail.mime_leaves import MimeLeaf
from posthouse.mail.transfer_encoding import base64_lines, quoted_printable

TRANSFER_ENCODING = "Content-Transfer-Encoding"
MOST_OCTETS = 1 << 20
"""Of a part in its encoding: a larger one takes too long to rewrite."""

# Line by line: octet by octet it takes a hundred times as long.
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/ \t]++|\r\n)*(?:=[ \t\r\n]*){0,2}")
_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
# In these, what is written with the octets of < > " ' = & / and blanks is that and nothing else, so
# the text is read octet by octet, whatever else it holds.
_LIKE_ASCII = re.compile(
    r"ascii|utf-8|iso8859-\d+|cp12\d\d|cp(?:437|850|852|866|874|93[26]|949|950)|koi8-\w"
    r"|mac-\w+|euc_\w+|gb2312|gbk|gb18030|big5(?:hkscs)?|shift_jis\w*|tis-620"
)
_DECODED = re.compile(r"utf-(?:16|32)(?:-[bl]e)?|iso2022_\w+|hz|johab")
_BY_OCTET = "latin-1"


class Transfer(Enum):
    """How the octets of a part are written (RFC 2045 section 6)."""

    PLAIN = auto()
    QUOTED_PRINTABLE = auto()
    BASE64 = auto()


_TRANSFERS = {
    **dict.fromkeys(("", "7bit", "8bit", "binary"), Transfer.PLAIN),
    "quoted-printable": Transfer.QUOTED_PRINTABLE,
    "base64": Transfer.BASE64,
}


class UnsafePart(ValueError):
    """The part cannot be written again without the risk that something of it changes."""


@dataclass(frozen=True, slots=True)
class TextPart:
    """A text, and what is needed to write it again."""

    text: str
    codec: str  # of the text; latin-1 for octets
    charset: str  # that octets above ASCII in links are of
    transfer: Transfer
    ends_line: bool  # as it is written

    def readable(self, piece: str) -> str:
        """A piece of the text as a reader sees it; "" if it is in no sound charset."""
        if self.codec != _BY_OCTET or piece.isascii():
            return piece
        try:
            return piece.encode(_BY_OCTET).decode(self.charset)
        except UnicodeDecodeError:
            return ""

    def written(self, piece: str) -> str:
        """A piece that a reader sees so, as it stands in the text.

        Raises UnsafePart where the charset of the part lacks a character.
        """
        if self.codec != _BY_OCTET or piece.isascii():
            return piece
        try:
            return piece.encode(self.charset).decode(_BY_OCTET)
        except UnicodeEncodeError as error:
            raise UnsafePart(f"{piece[error.start]!a} is not in {self.charset}") from error


Gap: TypeAlias = tuple[int, int, int]
"""Where it begins and ends in a text, and its number."""


class PartTemplate(NamedTuple):
    """A part with gaps, to be filled for each recipient."""

    text: str
    gaps: Sequence[Gap]  # in their order
    codec: str
    transfer: Transfer
    ends_line: bool

    @property
    def is_in_place(self) -> bool:
        """Whether octets of the part are characters of the text, so that gaps are octets too."""
        return self.transfer is Transfer.PLAIN and self.codec == _BY_OCTET and bool(self.gaps)

    def filled(self, fillings: Sequence[str]) -> bytes:
        """The part as it is sent, with the filling of each gap's number."""
        pieces, at = list[str](), 0
        for start, end, number in self.gaps:
            pieces += (self.text[at:start], fillings[number])
            at = end
        octets = "".join((*pieces, self.text[at:])).encode(self.codec)
        match self.transfer:
            case Transfer.PLAIN:
                return octets
            case Transfer.QUOTED_PRINTABLE:
                return _quoted(octets)
            case Transfer.BASE64:
                lines = base64_lines(octets)
                return lines if self.ends_line else lines.removesuffix(b"\r\n")


def read_part(leaf: MimeLeaf, body: bytes) -> TextPart:
    """The text of *leaf*, a part of *body*. Raises UnsafePart with the reason."""
    if leaf.end - leaf.start > MOST_OCTETS:
        raise UnsafePart(f"a part is larger than {MOST_OCTETS >> 20} MiB")
    written = body[leaf.start : leaf.end]
    octets, transfer = _decoded(leaf, written)
    name = parameter(leaf.content_type, "charset").strip()
    charset, codec = _charset(name or "utf-8"), _BY_OCTET
    if not _LIKE_ASCII.fullmatch(charset):
        codec = charset = _with_byte_order(charset, octets)
    try:
        text = octets.decode(codec)
        is_same = codec == _BY_OCTET or text.encode(codec) == octets
    except UnicodeError:
        is_same = False
    if not is_same:
        raise UnsafePart(f"a part is not in the charset {name} that it names")
    return TextPart(text, codec, charset, transfer, written.endswith(b"\r\n"))


def _decoded(leaf: MimeLeaf, written: bytes) -> tuple[bytes, Transfer]:
    encoding = (leaf.header.first(TRANSFER_ENCODING) or "").strip().lower()
    match _TRANSFERS.get(encoding):
        case Transfer.PLAIN:
            return written, Transfer.PLAIN
        case Transfer.QUOTED_PRINTABLE:
            return a2b_qp(written), Transfer.QUOTED_PRINTABLE
        case Transfer.BASE64 if _BASE64.fullmatch(written):
            try:
                return a2b_base64(written), Transfer.BASE64
            except Error as error:
                raise UnsafePart("a part is not the base64 that it is said to be") from error
        case Transfer.BASE64:
            raise UnsafePart("a part is not the base64 that it is said to be")
        case _:
            raise UnsafePart(f"a part has the transfer encoding {encoding[:40]!r}")


def _charset(name: str) -> str:
    """Python's name of a charset."""
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        found = ""
    if not _LIKE_ASCII.fullmatch(found) and not _DECODED.fullmatch(found):
        raise UnsafePart(f"a part has the charset {name[:40]!r}")
    return found


def _with_byte_order(charset: str, octets: bytes) -> str:
    """UTF-16 or UTF-32 by its mark, which stays in the text; else as RFC 2781 section 4.3 says."""
    if charset not in ("utf-16", "utf-32"):
        return charset
    is_little = octets.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF32_LE))
    return f"{charset}-{'le' if is_little else 'be'}"


def _quoted(octets: bytes) -> bytes:
    if not _BARE.search(octets):
        return quoted_printable(octets)
    # A line end that is none of mail's is written as what it is.
    lines = b2a_qp(octets, quotetabs=False, istext=False)
    return lines.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
