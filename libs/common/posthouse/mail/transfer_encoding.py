"""Octets as lines of ASCII, for the body of a message (RFC 2045 sections 6.7 and 6.8)."""

import re
from binascii import b2a_base64, b2a_qp

ENCODED_LINE = 76  # octets at most

_OCTETS_OF_LINE = 57  # that base64 makes a full line of
_AT_ONCE = _OCTETS_OF_LINE * 1_024  # so that a thread can be interrupted
# A blank at the end of a line becomes three octets after the line was measured.
_BLANK_TOO_FAR = re.compile(rb"^([^\r\n]{74,})(=(?:20|09))\r$", re.MULTILINE)


def quoted_printable(body: bytes) -> bytes:
    """*body*, with CRLF line ends, in quoted-printable; its line ends stay as they are."""
    # With a line end behind it, by whose kind the function writes its own.
    encoded = b2a_qp(body + b"\r\n", quotetabs=False, istext=True)
    if b"=20\r" in encoded or b"=09\r" in encoded:  # else the pattern would only cost time
        encoded = _BLANK_TOO_FAR.sub(rb"\1=\r\n\2\r", encoded)
    return encoded[:-2]


def base64_lines(octets: bytes) -> bytes:
    """*octets* in base64, with CRLF between and behind the lines."""
    pieces: list[bytes] = []
    for at in range(0, len(octets), _AT_ONCE):
        encoded = b2a_base64(octets[at : at + _AT_ONCE], newline=False)
        lines = [encoded[i : i + ENCODED_LINE] for i in range(0, len(encoded), ENCODED_LINE)]
        pieces.append(b"\r\n".join([*lines, b""]))
    return b"".join(pieces)
