"""Reads a notice in free text: that something was not delivered, to whom, and what was said.

Formats of some hundred mail systems differ in words and language, and are alike in structure: a
mail system writes, it lists addresses or names them in a sentence, quotes an SMTP reply, and
appends the original. That structure is read here; no format is known by its name.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bounces.core.reports.failure_words import DAEMON, DELAY, FAILURE_SUBJECT, FAILURE_TEXT, FINAL
from bounces.core.reports.mime import fields
from bounces.core.reports.named_addresses import Named, Role, addresses_in, named_addresses
from bounces.core.reports.original import original_begins
from bounces.core.reports.plain_text import clean, clean_lines
from bounces.core.reports.report import RecipientStatus
from bounces.core.reports.smtp_quote import enhanced_in, paragraphs, quoted_reply
from posthouse.mail.dsn_action import Action

_MOST_LINES = 3000
_MOST_RECIPIENTS = 1000
_LONGEST_PROSE = 4000  # characters about one recipient
_SEARCHED = 6000  # characters in which the words of a notice are looked for
_IN_SENTENCES = frozenset({Role.TRANSCRIPT, Role.SENTENCE, Role.LABELLED})
_ANSWER = re.compile(r"(?:re|aw|antw|fwd?|wg|sv|tr|rv|vs) ?:", re.IGNORECASE)  # in a Subject
_STATUS_OF_CLASS = {"4": "4.0.0", "5": "5.0.0"}


@dataclass(frozen=True, slots=True)
class Notice:
    """A text split where the original begins."""

    lines: tuple[str, ...]
    original: Mapping[str, str]  # fields of the original's header in the text, if it has one

    @property
    def text(self) -> str:
        """The words of the mail system."""
        return "\n".join(self.lines)


def split_notice(text: str) -> Notice:
    """*text* divided into the mail system's words and the original."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:_MOST_LINES]
    end = original_begins(lines)
    header = "\n".join(line.removeprefix(">").removeprefix(" ") for line in lines[end : end + 200])
    return Notice(tuple(lines[:end]), fields(header.encode("utf-8", "replace")))


def failed_in(header: Mapping[str, str]) -> tuple[str, ...]:
    """The failed recipients that a field of the header names, as Exim and Google do."""
    named = addresses_in(header.get("x-failed-recipients", ""))
    return tuple(dict.fromkeys(named))[:_MOST_RECIPIENTS]


def is_failure(header: Mapping[str, str], subject: str, notice: Notice, *, returns: bool) -> bool:
    """Whether the notice tells of a failure or delay, judged by who writes and what is said.

    *returns* says whether an original comes with it.
    """
    if "x-failed-recipients" in header:
        return True
    text = notice.text[:_SEARCHED]
    quotes = quoted_reply(text) != ""
    told = quotes or FAILURE_TEXT.search(text) is not None or DELAY.search(text) is not None
    named = FAILURE_SUBJECT.search(subject) is not None
    if is_from_daemon(header):
        return named or told
    # A person may write about a failure, too; only a mail system lists whom it concerns.
    names = named_addresses(notice.lines, ())
    roles = {name.role for name in names}
    if named and not _ANSWER.match(subject):
        return told and (quotes or max(roles, default=Role.OTHER) >= Role.SENTENCE)
    if told and (returns or quotes) and roles & _IN_SENTENCES:
        return True
    return any(_stands_alone(notice.lines, name) for name in names)


def says_failure(header: Mapping[str, str], subject: str) -> bool:
    """Whether the header itself tells of a failure or delay."""
    return "x-failed-recipients" in header or FAILURE_SUBJECT.search(subject) is not None


def _stands_alone(lines: Sequence[str], name: Named) -> bool:
    """Whether the address has a line of its own, below one that tells of a failure."""
    return (
        name.line > 0
        and lines[name.line].strip(" \t<>") == name.address
        and FAILURE_TEXT.search(lines[name.line - 1][:1000]) is not None
    )


def is_from_daemon(header: Mapping[str, str]) -> bool:
    """Whether a mail system wrote it, by its From field; an automatic reply has an address."""
    author = header.get("from", "").strip(" <>")
    return not author or DAEMON.search(author) is not None


def is_delay(subject: str, text: str) -> bool:
    """Whether the server is still trying."""
    said = f"{subject}\n{text[:_SEARCHED]}"
    return DELAY.search(said) is not None and FINAL.search(text[:_SEARCHED]) is None


def status_of(address: str, prose: str, *, delayed: bool) -> RecipientStatus:
    """What *prose*, the words about *address*, says of it."""
    reply = quoted_reply(prose)
    enhanced = enhanced_in(reply) or ("" if reply else enhanced_in(prose))
    if not enhanced:
        enhanced = _STATUS_OF_CLASS.get(reply[:1], "")
    return RecipientStatus(
        action=Action.DELAYED if delayed else Action.FAILED,
        status=enhanced,
        diagnostic=clean(reply or next(paragraphs(prose), ""), 1000),
        final_recipient=clean(address, 320),
        prose=clean_lines(prose, _LONGEST_PROSE),
    )
