"""Text of a header field in 8-bit octets, written as encoded words (RFC 2047).

Applications write UTF-8 into Subject and display names without asking for SMTPUTF8. Encoded words
say the same and pass every server.
"""

import re
from collections.abc import Iterator
from email.header import Header as EncodedWords

from posthouse.mail.address import InvalidAddress
from posthouse.mail.encoded_words import rewritable
from posthouse.mail.mailbox import Token, tokens, unquoted
from posthouse.mail.message import Field, HeaderInjection, HeaderTooLong, field

_ADDRESSES = re.compile(
    rb"(?:resent-)?(?:from|sender|reply-to|to|cc|bcc)|disposition-notification-to|errors-to"
)
# Ids, dates, hosts, URIs and parameters: an encoded word must not stand in them.
_WITHOUT_TEXT = re.compile(
    rb"|(?:resent-)?(?:message-id|date)|in-reply-to|references|received(?:-spf)?|return-path|arc-.*"
    rb"|(?:dkim|domainkey)-signature|authentication-results|auto-submitted|list-.*|mime-version"
    rb"|content-(?!description).*"
)
# A line with an encoded word has at most 76 octets (section 2); the name of the field comes first.
_WORD_OCTETS = 60
_BLANK = " \t"
_BLANKS = re.compile(r"([ \t]+)")


def encode_text(raw: Field) -> Field:
    """*raw* with its UTF-8 text as encoded words: unstructured text, display names and comments.

    Addresses, quoted strings of addresses, ids and parameters stay as they are, and so does a field
    that is not UTF-8, cannot be read, holds control characters outside of text, or cannot be folded
    within 998 octets.
    """
    if raw.raw.isascii() or _WITHOUT_TEXT.fullmatch(raw.name):
        return raw
    try:
        value = raw.raw.decode().partition(":")[2].replace("\r\n", "").strip(" \t")
        if _ADDRESSES.fullmatch(raw.name):
            value = "".join(_address_list(value))
        else:
            value = encode_unstructured(value)
        return field(raw.raw.partition(b":")[0].rstrip(b" \t").decode(), value)
    except (UnicodeDecodeError, InvalidAddress, HeaderInjection, HeaderTooLong):
        return raw


def holds_text(name: bytes) -> bool:
    """Whether encoded words may stand in the field called *name*, in lower case."""
    return _WITHOUT_TEXT.fullmatch(name) is None


def encode_unstructured(value: str) -> str:
    """*value* encoded from the first word that needs it to the last: others stay readable."""
    words = _BLANKS.split(value)
    needy = [at for at, word in enumerate(words) if not word.isascii() or "=?" in word]
    if not needy:
        return value
    begin, end = needy[0], needy[-1] + 1
    return "".join([*words[:begin], encoded_words("".join(words[begin:end])), *words[end:]])


def _address_list(value: str) -> Iterator[str]:
    """The pieces of an address list; what stands before "<" or ":" is a name."""
    before: list[Token] = []
    has_address = in_angle = False
    for token in tokens(value):
        special = "" if token.is_comment else token.text
        if special in ("<", ":") and not in_angle:
            yield from _phrase(before, is_name=True)
        elif special == ">" or (special in (",", ";") and has_address and not in_angle):
            yield from _phrase(before, is_name=False)
        else:  # a comma that no address stands before belongs to a display name
            before.append(token)
            has_address = has_address or "@" in special
            continue
        yield token.raw
        before = []
        in_angle = special == "<"
        has_address = special in ("<", ">")
    yield from _phrase(before, is_name=False)


def _phrase(run: list[Token], *, is_name: bool) -> Iterator[str]:
    """*run* with its comments encoded, and its words too if they are a display name."""
    words: list[Token] = []
    for token in run:
        if token.is_comment:
            yield from _name(words) if is_name else (word.raw for word in words)
            yield token.raw if token.raw.isascii() else f"({encoded_words(token.text)})"
            words = []
        else:
            words.append(token)
    yield from _name(words) if is_name else (word.raw for word in words)


def _name(words: list[Token]) -> Iterator[str]:
    as_written = "".join(token.raw for token in words)
    if as_written.isascii():
        yield as_written
        return
    text = "".join(unquoted(token.text) for token in words)
    yield as_written[: len(as_written) - len(as_written.lstrip(_BLANK))]
    yield encoded_words(text.strip(_BLANK))
    yield as_written[len(as_written.rstrip(_BLANK)) :]


def encoded_words(text: str) -> str:
    """*text* as encoded words, which divide no character; such words in it are read first."""
    text = _BLANKS.sub(" ", text)
    text = rewritable(text) if "=?" in text else text
    return EncodedWords(text, "utf-8", maxlinelen=_WORD_OCTETS).encode(linesep="")
