"""Decides what a report means for the delivery whose return path it came to.

Precision comes before recall: a recipient suppressed by mistake gets no more mail, a recipient
missed gets one message too many. Only a failure suppresses whose codes say "there is no such
mailbox", or whose words say so where the codes are vague. It suppresses the recipient of our own
delivery, whatever address the report names.
"""

import re
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from bounces.core.dsn import CODE, Action, RecipientStatus, Report, ReportKind
from posthouse.mail.events import EventKind
from posthouse.mail.scope import Scope
from posthouse.mail.submission import Delivery

RULES = 1  # version of the rules below; stored with every verdict


@dataclass(frozen=True, slots=True)
class Suppress:
    """There is no such mailbox: a bounce, and no more mail to the delivery's recipient."""

    status: RecipientStatus
    rule: str


@dataclass(frozen=True, slots=True)
class Note:
    """An event of that kind, and nothing else."""

    kind: EventKind
    rule: str
    status: RecipientStatus | None = None
    scope: Scope | None = None  # of a bounce


@dataclass(frozen=True, slots=True)
class Ignore:
    """Says nothing that we do not know already."""

    rule: str


Verdict: TypeAlias = Suppress | Note | Ignore

_MOST_CHARACTERS_OF_DIAGNOSTIC = 500  # the words of which are read
_REPLY = re.compile(r"(?:[\w-]+ *; *)?([245])\d\d(?![\d.])")

# RFC 3463 section 3 by subject and detail; codes that are not listed, by their subject.
_SCOPES = {
    "1.2": Scope.SITE, "1.7": Scope.SENDER, "1.8": Scope.SENDER, "1.9": Scope.SENDER,
    "1.10": Scope.SITE, "2.3": Scope.MESSAGE, "3.4": Scope.MESSAGE,
}  # fmt: skip
_SCOPES_BY_SUBJECT = {
    "1": Scope.RECIPIENT, "2": Scope.RECIPIENT, "3": Scope.SITE, "4": Scope.SITE,
    "5": Scope.HOST, "6": Scope.MESSAGE, "7": Scope.SENDER,
}  # fmt: skip

_GONE = frozenset({"5.1.1", "5.1.6", "5.2.1"})
# These say only that it failed, so the words decide. 5.1.10 is a null MX in RFC 7505, and an
# unknown user when Exchange writes it.
_VAGUE = frozenset({"5.0.0", "5.1.0", "5.1.10"})
_GONE_WORDS = re.compile(
    r"\b(?:user|recipient|mailbox|account|address)(?: \w+){0,3} (?:is )?"
    r"(?:unknown|does(?: not|n't) exist|not found|no longer (?:exists|valid))"
    r"|\b(?:unknown|no such|invalid|non-?existent) (?:local )?"
    r"(?:user|recipient|mailbox|account|address)\b"
    r"|\brecip(?:ient)?notfound\b"
)
_OTHER_REASON = re.compile(
    r"spam|unsolicited|\bbulk\b|black ?list|block ?list|block(?:ed|ing)|\brbl\b|dnsbl|reputation"
    r"|polic(?:y|ies)|\bspf\b|\bdkim\b|\bdmarc\b|authenticat|relay|virus|access denied|\bsender\b"
    r"|quota|\bfull\b|over ?size|max.{0,12}size|too (?:large|big|many)|rate limit|frequency"
    r"|gr[ae]y ?list|suspend|try again|temporar"
)


def decide(report: Report, delivery: Delivery) -> Verdict:
    """The verdict on *report*, which came to the return path of *delivery*."""
    match report.kind:
        case ReportKind.DSN:
            return _of_status(_speaking_for(report.recipients, delivery.recipient))
        case ReportKind.FREE_TEXT:
            hint = report.recipients[0]
            return Note(EventKind.BOUNCED, "failure in free text", hint, scope_of(hint))
        case ReportKind.AUTO_REPLY:
            return Note(EventKind.REPLIED, "automatic reply")
        case ReportKind.COMPLAINT:
            return Note(EventKind.COMPLAINED, "feedback report")
        case ReportKind.UNRECOGNISED:
            return Note(EventKind.RETURNED, "not recognised")
        case _:
            assert_never(report.kind)


def scope_of(status: RecipientStatus) -> Scope:
    """What a failure applies to; the message alone if it does not say."""
    code = CODE.search(status.status) or CODE.search(status.diagnostic)
    if code is None:
        return Scope.MESSAGE
    detail = _SCOPES.get(f"{code[2]}.{code[3]}")
    return detail or _SCOPES_BY_SUBJECT.get(code[2], Scope.MESSAGE)


def _speaking_for(recipients: tuple[RecipientStatus, ...], ours: str) -> RecipientStatus:
    """The group about our recipient, else the mildest: some members of an alias may have got it."""
    wanted = ours.lower()
    named = [
        status
        for status in recipients
        if wanted in (status.final_recipient.lower(), status.original_recipient.lower())
    ]
    return min(named or recipients, key=_severity)


def _severity(status: RecipientStatus) -> int:
    verdict = _of_status(status)
    match verdict:
        case Ignore():
            return 0
        case Note():
            return 1 if verdict.kind is EventKind.DELAYED else 2
        case Suppress():
            return 3
        case _:
            assert_never(verdict)


def _of_status(status: RecipientStatus) -> Verdict:
    match status.action:
        case Action.DELAYED:
            return Note(EventKind.DELAYED, "delayed", status)
        case Action.DELIVERED | Action.RELAYED | Action.EXPANDED:
            return Ignore("delivered")
        case Action.FAILED:
            return _of_failure(status)
        case _:
            assert_never(status.action)


def _of_failure(status: RecipientStatus) -> Verdict:
    """A bounce; it suppresses if all codes say "no such mailbox" and no word contradicts them."""
    bounced = Note(EventKind.BOUNCED, "another failure", status, scope_of(status))
    reply = _REPLY.match(status.diagnostic)
    codes = {code[0] for code in CODE.finditer(f"{status.status} {status.diagnostic}")}
    if (reply and reply[1] != "5") or not codes or not codes <= _GONE | _VAGUE:
        return bounced
    words = _words(status.diagnostic)
    if _OTHER_REASON.search(words):
        return bounced
    if codes & _GONE:
        return Suppress(status, "mailbox unknown by code")
    if _GONE_WORDS.search(words):
        return Suppress(status, "mailbox unknown by words")
    return bounced


def _words(diagnostic: str) -> str:
    """The server's own words in lower case, without addresses, links and host names."""
    tokens = diagnostic[:_MOST_CHARACTERS_OF_DIAGNOSTIC].lower().split()
    return " ".join(
        token
        for token in tokens
        if not ("@" in token or "/" in token or "<" in token or "[" in token[1:])
    )
