"""Finds addresses in the text of a notice, and tells which of them are the failed recipients'."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from bounces.core.failure_words import FAILURE_TEXT, NOT_A_RECIPIENT, RECIPIENT_LABEL

_LOCAL = r"[^\x00-\x20\x7f-\U0010ffff<>()\[\]{},;:\"'|@\\]{1,64}"
_ANY_LOCAL = r"[^\s<>()\[\]{},;:\"'|@\\\u2e80-\u303f\uff00-\uffef]{1,64}"
_DOMAIN = r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){1,9}"
_ADDRESS = re.compile(
    rf"(?<![!#-&*+\-./0-9=?A-Z^_`a-z~])(?:\"[^\"\n@]{{1,64}}\"|{_LOCAL}|{_ANY_LOCAL})"
    rf"@(?:{_DOMAIN}|[\w-]{{1,63}}(?:\.[\w-]{{1,63}}){{1,9}})"
)
_WORDS_BEFORE = re.compile(r"^[\u3040-\u9fff\uac00-\ud7af]+(?=[\x21-\x7e]+@)")
_LONGEST_LINE = 2000  # characters of a line that are searched
_MOST_ADDRESSES = 1000

# Marks of a list, quotes, or a name that a recipient's line may begin with.
_LINE_START = re.compile(r"[\s>*\-\u2022\u00b7|#+]*(?:\d{1,3}[.)] ?)?[<\"'(\[:]*$")
_NAME_BEFORE = re.compile(r"\s*\"?[^\"<>@:]{1,60}\"?\s*[<(]$")
_BEHIND_A_NAME = re.compile(r"[>)]?\s*(?:[:;(\[].*)?$")
_DIALOGUE = re.compile(r"\s*(?:>>>|<<<|\.{3} |[45]\d\d[- ])")
_WEAK_LABEL = re.compile(r"^\W*to\W*$", re.IGNORECASE)
_ROLE_ACCOUNTS = frozenset(
    {"postmaster", "abuse", "support", "helpdesk", "info", "help", "mailer-daemon", "noreply",
     "no-reply", "admin", "hostmaster", "administrator", "webmaster"}
)  # fmt: skip


class Role(IntEnum):
    """What an address in a notice is; a greater one is a better sign of a failed recipient."""

    OTHER = 0  # the sender's, or an operator's to write to
    MENTIONED = 1
    SENT_TO = 2  # in a list of the message's own fields
    TRANSCRIPT = 3  # in a line of an SMTP dialogue
    SENTENCE = 4  # in a sentence that says that it failed
    LABELLED = 5  # behind a word such as "recipient"
    HEADING = 6  # begins a line, as in a list of recipients


@dataclass(frozen=True, slots=True)
class Named:
    """An address, where it stands and what it is."""

    address: str
    line: int
    end: int  # column behind it
    role: Role


def addresses_in(text: str) -> Iterator[str]:
    """Every address in *text*, as it is written there."""
    for match in _ADDRESS.finditer(text):
        yield _bare(match[0])


def named_addresses(lines: Sequence[str], ours: Collection[str]) -> list[Named]:
    """The addresses in *lines* in their order; those in *ours*, in lower case, are the sender's."""
    found: list[Named] = []
    for number, line in enumerate(lines):
        if "@" not in line:
            continue
        for match in _ADDRESS.finditer(line[:_LONGEST_LINE]):
            address = _bare(match[0])
            role = _role(lines, number, match.start(), match.end(), address)
            if address.lower() in ours:
                role = Role.OTHER
            found.append(Named(address, number, match.end(), role))
            if len(found) == _MOST_ADDRESSES:
                return found
    return found


def _bare(address: str) -> str:
    """*address* without marks around it, and without words of a script that has no blanks."""
    return _WORDS_BEFORE.sub("", address.strip("'`*").rstrip("."))


def _role(lines: Sequence[str], number: int, start: int, end: int, address: str) -> Role:
    line = lines[number]
    before, behind = line[:start], line[end:_LONGEST_LINE]
    if _is_somebody_else(lines, number, before):
        return Role.OTHER
    if _DIALOGUE.match(before):
        return Role.TRANSCRIPT
    if _LINE_START.match(before) or (_NAME_BEFORE.match(before) and _BEHIND_A_NAME.match(behind)):
        return Role.HEADING
    if _WEAK_LABEL.match(before):
        return Role.SENT_TO
    if RECIPIENT_LABEL.search(before[-200:]):
        return Role.LABELLED
    return _in_a_sentence(lines, number, address)


def _is_somebody_else(lines: Sequence[str], number: int, before: str) -> bool:
    """Whether it is in a link, or the words before it say that it is not the recipient's."""
    if "://" in before[-100:].rpartition(" ")[2] or before.lower().endswith("mailto:"):
        return True
    context = before if before.strip(" \t<\"'([") else _line_before(lines, number)
    return NOT_A_RECIPIENT.search(context[-200:]) is not None


def _in_a_sentence(lines: Sequence[str], number: int, address: str) -> Role:
    around = " ".join(line[:1000] for line in lines[max(0, number - 1) : number + 2])[:1000]
    if address.partition("@")[0].lower() not in _ROLE_ACCOUNTS and _tells_of_failure(around):
        return Role.SENTENCE
    return Role.MENTIONED


# The addresses of one line share it; a line may have hundreds.
@lru_cache(maxsize=1)
def _tells_of_failure(words: str) -> bool:
    return FAILURE_TEXT.search(words) is not None


def _line_before(lines: Sequence[str], number: int) -> str:
    """The line before, or the one that a single empty line divides from it, if it goes on.

    A line that ends a sentence says nothing about the next one.
    """
    for line in reversed(lines[max(0, number - 2) : number]):
        if words := line.strip():
            return "" if words.endswith((".", "!", "?")) else words
    return ""
