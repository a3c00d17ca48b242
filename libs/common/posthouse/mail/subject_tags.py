"""Tags in a Subject, as in "[tag: march, news] Hello" (RULES C24)."""

import re

from posthouse.mail.encoded_words import decoded
from posthouse.mail.header_text import encode_unstructured
from posthouse.mail.message import Field, HeaderTooLong, field

_TAGS = re.compile(r"\[tag:([^\]]*)\] *")
# The same in a field as it is, with its folds.
_IN_FIELD = re.compile(
    rb"((?i:subject)[ \t]*:)(?:(?:\r\n)?[ \t])*\[tag:([^\]]*)\](?:(?:\r\n)?[ \t])*"
)
_LINE_LIMIT = 998  # octets, RFC 5322 section 2.1.1


def subject_text(subject: Field) -> str:
    """The text of *subject* as a reader sees it."""
    return decoded(subject.value.replace("\t", " "))


def tags_in(text: str) -> str | None:
    """What stands between "[tag:" at the front of *text* and the bracket; None without it."""
    match = _TAGS.match(text)
    return match[1] if match else None


def without_tags(subject: Field) -> Field:
    """*subject* without the tags at its front.

    What follows stays as it came, except for tags in encoded words: then it is written again. A
    text that cannot be folded within 998 octets keeps its tags.
    """
    as_it_is = _IN_FIELD.match(subject.raw)
    if as_it_is and b"=?" not in as_it_is[2]:
        rest = subject.raw[as_it_is.end() :]
        octets = len(as_it_is[1]) + 1 + rest.index(b"\r\n")
        return subject._replace(
            raw=as_it_is[1] + (b" " if octets <= _LINE_LIMIT else b"\r\n ") + rest
        )
    text = subject_text(subject)
    match = _TAGS.match(text)
    if match is None:
        return subject
    try:
        return field("Subject", encode_unstructured(text[match.end() :]))
    except HeaderTooLong:
        return subject
