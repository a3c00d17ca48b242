"""Decides what a report means for the delivery whose return path it came to.

What was said is judged by `posthouse.answers`. Precision comes before recall: a recipient
suppressed by mistake gets no more mail, a recipient missed gets one message too many. Only a
report with fields suppresses, and only the recipient of our own delivery, whatever address the
report names; free text is a hint, and no address is ever taken out of it.
"""

import re
from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from bounces.core.relation import is_about
from bounces.core.reports.report import RecipientStatus, Report, ReportKind
from bounces.core.reports.smtp_quote import answers_the_recipient, paragraphs, quoted_reply
from posthouse.answers import (
    RULES_VERSION,
    Answer,
    AnswerClass,
    Evidence,
    Judgement,
    Stage,
    judge,
    provider_of,
    read_answer,
)
from posthouse.mail.dsn_action import Action
from posthouse.mail.events import EventKind
from posthouse.mail.scope import Scope
from posthouse.mail.submission import Delivery

RULES = RULES_VERSION  # of the rules that judge; stored with every verdict


@dataclass(frozen=True, slots=True)
class Suppress:
    """There is no such mailbox: a bounce, and no more mail to the delivery's recipient."""

    status: RecipientStatus
    rule: str
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Note:
    """An event of that kind, and nothing else."""

    kind: EventKind
    rule: str
    status: RecipientStatus | None = None
    scope: Scope | None = None  # of a bounce
    judgement: Judgement | None = None  # of a bounce: what was said, and what a list may make of it


Verdict: TypeAlias = Suppress | Note

_NOTED = {
    ReportKind.AUTO_REPLY: (EventKind.REPLIED, "automatic reply"),
    ReportKind.CHALLENGE: (EventKind.REPLIED, "asks to confirm"),
    ReportKind.RECEIPT: (EventKind.REPLIED, "receipt"),
    ReportKind.COMPLAINT: (EventKind.COMPLAINED, "feedback report"),
    ReportKind.NOT_SPAM: (EventKind.RETURNED, "feedback: not spam"),
    ReportKind.AUTH_FAILURE: (EventKind.RETURNED, "feedback: authentication failed"),
    ReportKind.OPT_OUT: (EventKind.RETURNED, "feedback: opt-out"),
    ReportKind.FEEDBACK: (EventKind.RETURNED, "feedback of another type"),
    ReportKind.TLS_REPORT: (EventKind.RETURNED, "report about TLS"),
    ReportKind.DMARC_REPORT: (EventKind.RETURNED, "report about DMARC"),
    ReportKind.UNRECOGNISED: (EventKind.RETURNED, "not recognised"),
}


_MILD = {EventKind.CONFIRMED: 0, EventKind.DELAYED: 1}
_GONE_CODES = frozenset({"5.1.1", "5.1.6", "5.1.10"})
_IN_SHORT = re.compile(r"\buser unknown\b", re.IGNORECASE)  # a server's words, without its code
_NAMES_MAILBOX = re.compile(r"mail ?box|\baccount\b", re.IGNORECASE)
# What providers say of mailboxes that do not exist, mostly; too little to suppress by one of them.
_LIKELY_GONE = ("denied, but whom is not said", "mailbox unavailable")
_FILTER = "many systems answer so after the text too, when a filter of the recipient refuses it"


_FILTERING = "carrier"  # providers whose "unknown user" may be a filter's, unless it answers RCPT
_ADVICE = (AnswerClass.SYSTEM, AnswerClass.NETWORK)  # "try again": of any failure


def decide(report: Report, delivery: Delivery) -> Verdict:
    """The verdict on *report*, which came to the return path of *delivery*."""
    if report.kind is ReportKind.DSN:
        status = _speaking_for(report.recipients, delivery.recipient)
        verdict = _of_status(status)
        if isinstance(verdict, Suppress) and not is_about(status, delivery.recipient):
            return _bounced(status, verdict.judgement, f"another address: {verdict.rule}")
        return verdict
    if report.kind is ReportKind.FREE_TEXT:
        hint = report.recipients[0]
        if hint.action is Action.DELAYED:
            return Note(EventKind.DELAYED, "delay in free text", hint)
        judgement = judgement_of(hint, Stage.PROSE)
        return _bounced(hint, judgement, f"free text: {judgement.rule}")
    kind, rule = _NOTED[report.kind]
    return Note(kind, rule)


def judgement_of(status: RecipientStatus, stage: Stage = Stage.REPORT) -> Judgement:
    """What the words and codes of *status* mean.

    Where its diagnostic says nothing clear, what the readable text says about the recipient does.
    """
    judgement = _of_words(f"{status.diagnostic}\n{status.remark}", stage, status)
    if judgement.kind is AnswerClass.UNCLEAR and not quoted_reply(status.diagnostic):
        judgement = _of_prose(status) or judgement
    if judgement.kind is AnswerClass.NO_SUCH_MAILBOX and _may_be_a_filter(status):
        return replace(
            judgement,
            kind=AnswerClass.UNCLEAR,
            scope=Scope.MESSAGE,
            evidence=Evidence.SOFT,
            rule="unknown user, maybe after the text",
            why=_FILTER,
        )
    return judgement


def _of_words(said: str, stage: Stage, status: RecipientStatus) -> Judgement:
    answer = read_answer(said, stage, status=status.status)
    domain = status.address.rpartition("@")[2]
    provider = provider_of(status.remote_mta) or provider_of(domain)
    if provider == _FILTERING and _is_about_the_recipient(status, answer):
        provider = ""
    return judge(replace(answer, provider=provider))


def _of_prose(status: RecipientStatus) -> Judgement | None:
    """What the first paragraph means that says something clear; advice to try again comes last."""
    advice = None
    for paragraph in paragraphs(status.prose):
        for said in filter(None, (quoted_reply(paragraph), paragraph)):
            judgement = _of_words(said, Stage.PROSE, status)
            if judgement.kind in _ADVICE:
                advice = advice or judgement
            elif judgement.kind is not AnswerClass.UNCLEAR or judgement.rule in _LIKELY_GONE:
                return judgement
    return advice


def _may_be_a_filter(status: RecipientStatus) -> bool:
    """Whether a reply "user unknown" may have come after the text, from a filter.

    It has no code that says so, and nothing shows that it answered RCPT.
    """
    answer = read_answer(status.diagnostic, Stage.REPORT, status=status.status)
    return (
        (quoted_reply(status.diagnostic) != "" or _IN_SHORT.search(status.diagnostic) is not None)
        and not _is_about_the_recipient(status, answer)
        and _NAMES_MAILBOX.search(status.diagnostic) is None
    )


def _is_about_the_recipient(status: RecipientStatus, answer: Answer) -> bool:
    """Whether a code says "no such mailbox", or the reply answered RCPT."""
    return bool(_GONE_CODES.intersection(answer.enhanced)) or answers_the_recipient(
        f"{status.diagnostic}\n{status.prose}"
    )


def is_gone(status: RecipientStatus, judgement: Judgement) -> bool:
    """Whether *status* says for good that the mailbox or its domain most likely does not exist.

    That is what a person wants to know. It takes less than to suppress a recipient.
    """
    gone = judgement.kind in (AnswerClass.NO_SUCH_MAILBOX, AnswerClass.DOMAIN_GONE)
    likely = judgement.rule in _LIKELY_GONE or _is_unknown_by_words(status, judgement)
    return status.action is Action.FAILED and judgement.permanent and (gone or likely)


def _is_unknown_by_words(status: RecipientStatus, judgement: Judgement) -> bool:
    """Whether "user unknown" stands beside the code of a mailbox that is switched off."""
    if judgement.kind is not AnswerClass.MAILBOX_DISABLED or _may_be_a_filter(status):
        return False
    answer = read_answer(status.diagnostic, Stage.REPORT)
    return judge(replace(answer, enhanced=())).kind is AnswerClass.NO_SUCH_MAILBOX


def _bounced(status: RecipientStatus, judgement: Judgement, rule: str) -> Note:
    return Note(EventKind.BOUNCED, rule, status, judgement.scope, judgement)


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
    return 3 if isinstance(verdict, Suppress) else _MILD.get(verdict.kind, 2)


def _of_status(status: RecipientStatus) -> Verdict:
    match status.action:
        case Action.DELAYED:
            return Note(EventKind.DELAYED, "delayed", status)
        case Action.DELIVERED | Action.RELAYED | Action.EXPANDED:
            return Note(EventKind.CONFIRMED, status.action, status)
        case Action.FAILED:
            judgement = judgement_of(status)
            if judgement.suppresses:
                return Suppress(status, judgement.rule, judgement)
            return _bounced(status, judgement, judgement.rule)
        case _:
            assert_never(status.action)
