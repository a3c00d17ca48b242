"""Octets of a message as text a person could read: charsets, encoded words, HTML."""

import re
from html import unescape

from posthouse.mail.encoded_words import decoded

_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\u200b-\u200f\u2028\u2029\ufeff]+")
_UNPRINTABLE_BUT_LF = re.compile(_UNPRINTABLE.pattern.replace(r"\x00-\x20", r"\x00-\x09\x0b-\x20"))
# Charsets of real mail. Python has other codecs, which are slow, raise, or decode no text.
_CHARSETS = re.compile(
    r"(?:utf-8|iso-8859-\d{1,2}|windows-(?:125\d|874)|koi8-[ru]|gb18030|big5|iso-2022-(?:jp|kr)"
    r"|cp932|euc-jp|cp949|utf-7|mac-roman)$"
)
_SAME_AS = {
    "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "shift_jis": "cp932",
    "x-sjis": "cp932", "shift-jis": "cp932", "iso-2022-jp-ms": "iso-2022-jp",
    "euc-kr": "cp949", "ks_c_5601-1987": "cp949", "unicode-1-1-utf-7": "utf-7",
    "macintosh": "mac-roman", "latin1": "iso-8859-1", "utf8": "utf-8", "cp1252": "windows-1252",
}  # fmt: skip

# Elements whose content nobody reads, and those that end a line or a cell.
_UNSEEN = frozenset({"style", "script", "head", "title"})
_LINES = frozenset(
    {"address", "article", "blockquote", "br", "center", "div", "dd", "dl", "dt", "footer", "form",
     "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "ol", "p", "pre", "section",
     "table", "tbody", "thead", "tr", "ul"}
)  # fmt: skip
_CELLS = frozenset({"td", "th"})
_TAG = re.compile(r"/?([a-zA-Z][a-zA-Z0-9]*)")


def decode(raw: bytes, charset: str = "utf-8") -> str:
    """*raw* as text by *charset* if real mail uses it, else as UTF-8 or, where that fails, Latin.

    What does not decode is replaced.
    """
    name = charset.strip().lower()
    name = _SAME_AS.get(name, name)
    if _CHARSETS.match(name):
        try:
            return raw.decode(name, "replace")
        except LookupError:  # iso-8859-12 and such
            pass
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character cut at the end is no sign of another charset.
        utf8 = error.start >= len(raw) - 3 and error.reason.startswith("unexpected end")
        return raw.decode("utf-8" if utf8 else "windows-1252", "replace")


def clean(text: str, limit: int = 2000) -> str:
    """One line of at most *limit* characters, without characters that PostgreSQL refuses."""
    line = _UNPRINTABLE.sub(" ", text[: limit * 2]).strip()[:limit]
    return line.encode("utf-8", "replace").decode()  # codecs may produce lone surrogates


def clean_lines(text: str, limit: int) -> str:
    """At most *limit* characters of *text*, cleaned like one line but for its line ends."""
    lines = _UNPRINTABLE_BUT_LF.sub(" ", text[:limit])
    return lines.encode("utf-8", "replace").decode()


def unencoded(value: str) -> str:
    """*value* with its encoded words (RFC 2047) decoded, short; unchanged if they cannot be."""
    return clean(decoded(value[:2000]), 500)


def of_html(html: str) -> str:
    """The text that *html* shows, a line for each block; in time linear in its length."""
    pieces: list[str] = []
    unseen = ""
    for chunk in html.split("<"):
        tag, closed, text = chunk.partition(">")
        name = _TAG.match(tag)
        if not closed or not name:
            text = chunk if not pieces else "<" + chunk  # a sign, not a tag
            element = ""
        else:
            element = name[1].lower()
        if unseen:
            if element != unseen or not tag.startswith("/"):
                continue
            unseen = ""
        elif element in _UNSEEN and not tag.startswith("/"):
            unseen = element
            continue
        pieces.append(_break(element) + " ".join(text.split("\n")))
    return _tidy(unescape("".join(pieces)))


def _break(element: str) -> str:
    if element in _LINES:
        return "\n"
    return "  " if element in _CELLS else ""


def _tidy(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(lines)
