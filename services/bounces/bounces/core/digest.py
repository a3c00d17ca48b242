"""What a report says, in a few octets: two copies of it have the same digest.

Received fields, dates, boundaries and message ids differ between copies, and ids and times in the
words of a diagnostic too. Its results, codes and words count: a second report that says more than
the first has another digest.
"""

import re
from collections.abc import Iterator
from hashlib import blake2b
from uuid import UUID

from bounces.core.reports.report import RecipientStatus, Report, ReportKind
from posthouse.mail.address import normal_form
from posthouse.mail.events import EventKind

_OCTETS = 12
_WORD = re.compile(r"[^\W_]+(?:[.'-][^\W_]+)*")
_CODE = re.compile(r"[245](?:\d\d|\.\d{1,3}\.\d{1,3})")
_DIGIT = re.compile(r"\d")


def digest_of(report: Report, about: UUID, taken_for: EventKind) -> str:
    """The digest of *report*, which is *taken_for* an event of the delivery or submission *about*.

    Of feedback its kind is all that it says: what else a report names does not count. One that
    was not believed is no copy of one that is.
    """
    said = [about.hex, str(report.kind), str(taken_for)]
    for status in report.recipients:
        said += _result(status)
    if report.kind is ReportKind.FEEDBACK and report.feedback is not None:
        said.append(report.feedback.type)
    elif report.feedback is None and not report.recipients:
        said += (*_words(report.subject), *_words(report.excerpt))
    return blake2b("\0".join(said).encode(), digest_size=_OCTETS).hexdigest()


def _result(status: RecipientStatus) -> Iterator[str]:
    yield str(status.action)
    yield status.status
    yield normal_form(status.final_recipient)
    yield from _words(status.diagnostic)


def _words(text: str) -> Iterator[str]:
    """Words and reply codes of *text* in lower case, without what changes from copy to copy."""
    for word in _WORD.findall(text.lower()):
        if not _DIGIT.search(word) or _CODE.fullmatch(word):
            yield word
