"""The words of an answer, in one form: without codes, addresses, links and names of hosts."""

import re
import unicodedata
from collections.abc import Iterator

# The words of longer texts are not looked at.
MOST_READ = 1 << 12

_EXCHANGE = re.compile(r"\b(?:RESOLVER|ROUTING|STOREDRV|SMTPSEND|SMTP)(?:\.\w+){1,5}")
# Links, and single words in brackets or quotes: names, which must not be read as words.
_NAME = re.compile(r"https?:\S+|<[^<>\s]*>|\"[^\"\s]*\"|(?<![\w'])'[^'\s]+'(?!\w)")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_NOT = re.compile(
    r"(?<=\bcan)(?:not|['`\u2019]t)\b|(?<=\w)n['`\u2019]t\b|\b(do|does|did|is|was|could|has)nt\b"
)
_BETWEEN = re.compile(r"[\s\"(){}\[\],;:|*=<>]+")
_INSIDE = re.compile(r"[-_/.'`\u2019]+")
_REPLY_CODE = re.compile(r"^#?[245]\d\d(?:-+|$)")
_HOST = re.compile(
    r"[\w.-]+\.(?:[a-z]{2}|com|net|org|edu|gov|mil|info|biz|arpa|local|lan|example|test|invalid)"
)

_LAST_LATIN = 0x24F
_WITHOUT_PARTS = str.maketrans({"ß": "ss", "ø": "o", "ł": "l", "\u0131": "i", "æ": "ae"})


def plain(text: str) -> str:
    """*text* in lower case, Latin letters without their accents."""
    text = text.lower()
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text).translate(_WITHOUT_PARTS)
    return "".join([c if c.isascii() or ord(c) > _LAST_LATIN else _base(c) for c in text])


def words_of(text: str) -> str:
    """The words of *text*, each divided by one blank; a full stop stands alone."""
    text = _EXCHANGE.sub(lambda name: name[0].replace(".", " "), text[:MOST_READ])
    text = plain(_CAMEL.sub(" ", _NAME.sub(" ", text)))
    return " ".join(_words(_NOT.sub(lambda seen: f"{seen[1] or ''} not", text)))


def _words(text: str) -> Iterator[str]:
    for token in _BETWEEN.split(text):
        word = token.strip("'`#-_")
        # Sendmail names the recipient with three dots behind.
        if not word or "@" in word or word.startswith("www.") or word.endswith("..."):
            continue
        ends = word[-1] in ".!?"
        word = _REPLY_CODE.sub("", word.rstrip(".!?"), 1)
        # More than one dot: an enhanced code, an IP address, a version or a host.
        if word.count(".") < 2 and not _HOST.fullmatch(word):  # noqa: PLR2004
            yield from filter(None, _INSIDE.split(word))
        if ends:
            yield "."


def _base(letter: str) -> str:
    return unicodedata.normalize("NFD", letter)[0]
