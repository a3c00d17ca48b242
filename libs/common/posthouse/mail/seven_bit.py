"""A message in seven bits, which every server takes (RFC 6152 section 3)."""

from posthouse.mail.header_text import encode_text
from posthouse.mail.message import Header
from posthouse.mail.part_encoding import reencode_parts


def seven_bit(header: bytes, body: bytes) -> bytes | None:
    """The message of *header* and *body* in ASCII; None where it cannot be written so.

    A reader sees the same text: parts are in quoted-printable, words of the header encoded.
    """
    if header.isascii() and body.isascii():
        return header + body
    fields = tuple(map(encode_text, Header.parse(header).fields))
    found, encoded = reencode_parts(Header(fields), body, _has_eight_bits)
    whole = bytes(found) + encoded
    return whole if whole.isascii() else None


def _has_eight_bits(content: bytes) -> bool:
    return not content.isascii()
