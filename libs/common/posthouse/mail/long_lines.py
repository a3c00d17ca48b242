"""Lines of over 998 octets, written so that no server has to cut them (RFC 5322 section 2.1.1).

A line in the header is folded. In the body only the MIME part with such a line is written in
another way: in quoted-printable, or with more line ends where it is encoded already.
"""

from posthouse.mail.message import LINE_LIMIT, Field, Header, HeaderTooLong, folded
from posthouse.mail.part_encoding import reencode_parts


def has_long_line(content: bytes | bytearray, limit: int = LINE_LIMIT) -> bool:
    """Whether a line of *content* has more than *limit* octets without its end.

    It jumps from line end to line end, so it costs little where lines are short.
    """
    start = 0  # of a line
    while len(content) - start > limit:
        end = content.rfind(b"\n", start, start + limit + 2)
        if end < 0:
            return True
        start = end + 1
    return False


def fold_long_lines(header: Header) -> Header:
    """*header* with fields that have a long line folded again at blanks.

    A field without a blank to fold at stays as it is.
    """
    if not has_long_line(bytes(header)):
        return header
    return Header(tuple([_folded(field) for field in header.fields]))


def _folded(field: Field) -> Field:
    if not has_long_line(field.raw):
        return field
    try:
        return Field(field.name, folded(field.raw.replace(b"\r\n", b"")))
    except HeaderTooLong:
        return field


def reencode_long_lines(header: Header, body: bytes) -> tuple[Header, bytes]:
    """The message of *header* and *body* with the parts that hold long lines encoded again."""
    return reencode_parts(header, body, has_long_line)
