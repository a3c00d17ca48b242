"""A Subject whose encoding readers would not understand, written so that they do (RULES C11)."""

import codecs
import re
from collections.abc import Iterator
from typing import NamedTuple

from posthouse.mail.encoded_words import NOT_FOR_MAIL, word_octets
from posthouse.mail.header_text import encode_unstructured
from posthouse.mail.message import Field, HeaderTooLong, field

# An encoded word, also one with blanks in it, which RFC 2047 section 5 forbids.
_WORD = re.compile(r"=\?([^?\s*]{1,40})(?:\*[^?\s]{0,40})?\?([QqBb])\?([^?]*+)\?=")
_BETWEEN = re.compile(r"(?<=\?=)[ \t]++(?==\?)")  # blanks between two words are not shown
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s";]{1,40})', re.IGNORECASE)
_ESCAPE = b"\x1b"

# What programs mean by the names of these codecs, where the octets are not of their charset.
_MEANT = {
    "iso8859-1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
}
_UNNAMED = ("utf-8", "cp1252")  # of text without the name of a charset, or with a wrong one


class _Piece(NamedTuple):
    """A part of a value as it is shown."""

    text: str
    is_right: bool = True  # no reader is in doubt about it


def repair_subject(raw: Field, content_type: str = "") -> Field:
    """*raw*, an unstructured field, encoded as RFC 2047 says, so that it shows what was meant.

    Wrong are octets beyond ASCII, escape sequences of ISO 2022, and encoded words with blanks, of
    an unknown charset, or whose octets are not of their charset. Octets beyond ASCII that are not
    UTF-8 are in the charset of *content_type*, the value of that field, or in Windows-1252. A field
    that is right keeps its octets.
    """
    octets = raw.raw.partition(b":")[2].replace(b"\r\n", b"").strip(b" \t")
    is_plain = octets.isascii() and _ESCAPE not in octets
    if is_plain and b"=?" not in octets:
        return raw
    text = octets.decode() if is_plain else text_of_octets(octets, content_type)
    pieces = list(_pieces(_BETWEEN.sub("", text)))
    if is_plain and all(piece.is_right for piece in pieces):
        return raw
    shown = _CONTROL.sub(" ", "".join([piece.text for piece in pieces]))
    try:
        return field(raw.raw.partition(b":")[0].rstrip(b" \t").decode(), encode_unstructured(shown))
    except HeaderTooLong:
        return raw


def text_of_octets(octets: bytes, content_type: str) -> str:
    """Octets that name no charset, as the text that was meant: see `repair_subject`."""
    if _ESCAPE in octets:
        charsets: tuple[str, ...] = ("iso2022_jp_2", "iso2022_kr")
    else:
        named = _CHARSET.search(content_type)
        charsets = ("utf-8", named[1] if named else "cp1252")
    return _meant(octets, charsets)


def _pieces(text: str) -> Iterator[_Piece]:
    """Plain text and encoded words; those that stand together and in one charset are one."""
    end, charset, octets, has_blank = 0, "", b"", False
    for match in _WORD.finditer(text):
        if match.start() != end or match[1].lower() != charset:
            yield _of_words(octets, charset, has_blank=has_blank)
            yield _Piece(text[end : match.start()])
            charset, octets, has_blank = match[1].lower(), b"", False
        octets += word_octets(match[2], match[3])
        has_blank = has_blank or " " in match[3] or "\t" in match[3]
        end = match.end()
    yield _of_words(octets, charset, has_blank=has_blank)
    yield _Piece(text[end:])


def _of_words(octets: bytes, charset: str, *, has_blank: bool) -> _Piece:
    text = _decoded(octets, charset)
    if text is not None:
        return _Piece(text, is_right=not has_blank)
    return _Piece(_meant(octets, (_MEANT.get(_codec(charset), charset),)), is_right=not octets)


def _meant(octets: bytes, charsets: tuple[str, ...]) -> str:
    """*octets* in the first of *charsets* that they are of, or the most likely one."""
    for charset in (*charsets, *_UNNAMED):
        if (text := _decoded(octets, charset)) is not None:
            return text
    return octets.decode("latin-1")


def _decoded(octets: bytes, charset: str) -> str | None:
    """*octets* as text; None if they are not of *charset*, or hold control characters in it."""
    codec = _codec(charset)
    try:
        text = octets.decode(codec) if codec and codec not in NOT_FOR_MAIL else None
    except (LookupError, ValueError):
        return None
    return None if text is None or _CONTROL.search(text) else text


def _codec(charset: str) -> str:
    """The name that Python has for *charset*, "" for none."""
    try:
        return codecs.lookup(charset).name
    except (LookupError, ValueError):
        return ""
