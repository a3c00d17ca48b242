"""Encoded words in header fields, read for display (RFC 2047)."""

import codecs
import re
from base64 import b64decode
from binascii import a2b_qp

# No part of a word holds "?" or a blank, so that a hostile text costs one pass.
_WORD = re.compile(r"=\?([^?\s*]{1,40})(?:\*[^?\s]{0,40})?\?([QqBb])\?([^?\s]*+)\?=")
_BETWEEN = re.compile(r"(?<=\?=)[ \t]++(?==\?)")  # blanks between two words are not shown
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # in a line of text
# Codecs of Python that are not character sets, or are slow on purpose-made input.
NOT_FOR_MAIL = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined"})


def decoded(text: str) -> str:
    """*text* with its encoded words decoded; a word that cannot be decoded stays as it is.

    No control or invisible character comes out: they become U+FFFD.
    """
    text = rewritable(text)
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def rewritable(text: str) -> str:
    """*text* likewise, to be written again: what is only invisible stays, as that joins emojis."""
    if "=?" in text:
        text = "".join(_pieces(_BETWEEN.sub("", text)))
    return _UNSAFE.sub("\ufffd", text)


def _pieces(text: str) -> list[str]:
    """Plain text and decoded words; words that stand together and in one charset are one.

    RFC 2047 section 5 forbids to divide a character between two words, and many programs do.
    """
    pieces: list[str] = []
    end, charset, octets = 0, "", b""
    for match in _WORD.finditer(text):
        together = match.start() == end and match[1].lower() == charset
        word = word_octets(match[2], match[3])
        if octets and not together:
            pieces.append(_shown(octets, charset))
            octets = b""
        pieces.append(text[end : match.start()])
        charset, octets, end = match[1].lower(), octets + word, match.end()
    if octets:
        pieces.append(_shown(octets, charset))
    return [*pieces, text[end:]]


def word_octets(encoding: str, text: str) -> bytes:
    """The octets that *text* stands for in an encoded word of *encoding*, Q or B."""
    octets = text.encode()
    if encoding in "Qq":
        return a2b_qp(octets, header=True)
    try:
        return b64decode(octets + b"=" * (-len(octets) % 4))
    except ValueError:
        return octets


def _shown(octets: bytes, charset: str) -> str:
    try:
        codec = codecs.lookup(charset).name
        if codec not in NOT_FOR_MAIL:
            return octets.decode(codec, "replace")
    except LookupError:
        pass
    return octets.decode("ascii", "replace")
