"""What a returned message comes to, in one value: for a person at a terminal and for programs."""

from dataclasses import dataclass
from typing import Any

from bounces.core.reports.reading import read
from bounces.core.reports.report import FEEDBACK, RecipientStatus, Report, ReportKind
from bounces.core.verdict import is_gone, judgement_of
from posthouse.answers import Judgement, Stage

_FAILURES = frozenset({ReportKind.DSN, ReportKind.FREE_TEXT})
_REPLIES = frozenset({ReportKind.AUTO_REPLY, ReportKind.RECEIPT})


@dataclass(frozen=True, slots=True)
class Classified:
    """One recipient of a report of failure or delay, with what was said about it."""

    status: RecipientStatus
    judgement: Judgement
    gone: bool  # most likely there is no such mailbox or domain

    @property
    def word(self) -> str:
        """The word "hard" if the address is most likely gone, else "soft"."""
        return "hard" if self.gone else "soft"


def classify(report: Report) -> tuple[Classified, ...]:
    """Each recipient that *report* tells of; () of anything but failures and delays."""
    if report.kind not in _FAILURES:
        return ()
    stage = Stage.REPORT if report.kind is ReportKind.DSN else Stage.PROSE
    return tuple(_classified(status, stage) for status in report.recipients)


def _classified(status: RecipientStatus, stage: Stage) -> Classified:
    judgement = judgement_of(status, stage)
    return Classified(status, judgement, is_gone(status, judgement))


def in_short(content: bytes) -> dict[str, Any]:
    """What the message *content* comes to, as one JSON object."""
    return summary(read(content))


def summary(report: Report) -> dict[str, Any]:
    """*report* as one JSON object: its kind, and what became of whom.

    The kind is dsn (any notice of failure or delay), arf (any feedback report), autoreply or
    other; each recipient has address, action, status and class, of which a complaint's have the
    address only.
    """
    if report.kind in FEEDBACK and report.feedback:
        named = report.feedback.original_recipients
        return {"kind": "arf", "recipients": [{"address": address} for address in named]}
    kind = "dsn" if report.kind in _FAILURES else "other"
    if report.kind in _REPLIES:
        kind = "autoreply"
    recipients = [
        {
            "address": one.status.address,
            "action": str(one.status.action),
            "status": one.status.status,
            "class": one.word,
        }
        for one in classify(report)
    ]
    return {"kind": kind, "recipients": recipients}
