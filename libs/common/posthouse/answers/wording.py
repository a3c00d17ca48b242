"""The words of an answer, in one form: without codes, addresses, links and names of hosts."""

import re
import unicodedata
from collections.abc import Iterator

_TOKEN = re.compile(r"[^\s\"(){}\[\],;:|*=]+|[\[(;:]")
_BRACKETED = re.compile(r"<[^<>\s]*>|\"[^\"\s]*\"")
_CODE = re.compile(r"#?[245]\d\d(?:-.*)?|#?\d{1,3}\.\d{1,3}\.\d{1,3}\S*")
_HOST = re.compile(r"[\w-]+(?:\.[\w-]+)*\.[a-z][a-z0-9-]+\.?")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_NOT = re.compile(r"\b(?:(can)not|(wo)n.?t|(\w{2,8})n[^\w\s]t|(\w{2,8}s)nt)\b")
_EXCHANGE = re.compile(r"\b(?:RESOLVER|ROUTING|STOREDRV|SMTPSEND|SMTP)(?:\.\w+){1,5}")
_LAST_LATIN = 0x24F


def plain(text: str) -> str:
    """*text* in lower case, Latin letters without their accents."""
    text = text.lower()
    if text.isascii():
        return text
    return "".join(map(_plain_letter, unicodedata.normalize("NFKC", text)))


def words_of(text: str) -> str:
    """The words of *text*, each divided by one blank; a full stop stands alone."""
    text = _EXCHANGE.sub(lambda name: name[0].replace(".", " "), text)
    text = _CAMEL.sub(" ", _BRACKETED.sub(" ", text))
    words = " ".join(_words(plain(text)))
    return _NOT.sub(lambda seen: f"{seen[1] or seen[2] or seen[3] or seen[4]} not", words)


def _words(text: str) -> Iterator[str]:
    for token in re.split(r"[\s\"(){}\[\],;:|*=<>]+", text):
        word = token.strip("'`#-_")
        if not word or "@" in word or "://" in word or word.startswith("www."):
            continue
        if word.endswith("..."):  # sendmail names the recipient so
            continue
        ends = word[-1] in ".!?"
        word = word.rstrip(".!?")
        if _CODE.fullmatch(word) or _HOST.fullmatch(word):
            word = ""
        yield from re.split(r"[-_/.]+", word) if word else ()
        if ends:
            yield "."


def _plain_letter(letter: str) -> str:
    if ord(letter) > _LAST_LATIN:
        return letter
    return unicodedata.normalize("NFD", letter)[0]
