"""Copies of a report are one report; one that says more is another."""

from dataclasses import replace
from uuid import UUID

import pytest

from bounces.core.digest import digest_of
from bounces.core.reports.reading import read
from bounces.core.reports.report import RecipientStatus, Report, ReportKind
from posthouse.mail.dsn_action import Action
from posthouse.mail.events import EventKind
from servers.returned_mail import REPORTS, feedback_report

ABOUT = UUID(int=1)
REPORT = {path.stem: path.read_bytes() for path in REPORTS}
FULL = RecipientStatus(
    Action.FAILED,
    "5.2.2",
    "smtp; 552 5.2.2 Mailbox of <ann@dest.example> is full (id 4kfQ2x-77 at 10:03)",
    "ann@dest.example",
)


def digest(report: Report, kind: EventKind = EventKind.BOUNCED, about: UUID = ABOUT) -> str:
    return digest_of(report, about, kind)


def of(status: RecipientStatus) -> str:
    return digest(Report(ReportKind.DSN, (status,)))


def test_a_copy_differs_in_trace_dates_ids_and_boundaries_only() -> None:
    content = REPORT["user_unknown"]
    copy = (
        b"Received: from a by b; Wed, 4 Mar 2026 11:00:00 +0100\nMessage-ID: <2@mx.example>\n"
        + content.replace(b"Tue, 3 Mar 2026 10:00", b"Wed, 4 Mar 2026 11:30")
        .replace(b"=_edge/1.mx", b"=_edge/2.mx")
        .replace(b"\n", b"\r\n")
    )
    assert copy != content
    assert digest(read(content)) == digest(read(copy))
    complaints = {digest(read(feedback_report(number=n))) for n in range(1, 9)}
    assert len(complaints) == 1


@pytest.mark.parametrize(
    "same",
    [
        replace(FULL, final_recipient="Ann@DEST.example"),
        replace(FULL, diagnostic=FULL.diagnostic.replace("4kfQ2x-77", "9zzR1a-01")),
        replace(FULL, diagnostic=FULL.diagnostic.replace("10:03", "23:59").upper()),
        replace(FULL, diagnostic=FULL.diagnostic.replace(" ", "  \t")),
        replace(FULL, remote_mta="mx2.dest.example"),
    ],
)
def test_what_changes_from_copy_to_copy_does_not_count(same: RecipientStatus) -> None:
    assert of(FULL) == of(same)


@pytest.mark.parametrize(
    "more",
    [
        replace(FULL, status="5.1.1"),
        replace(FULL, action=Action.DELAYED),
        replace(FULL, final_recipient="bob@dest.example"),
        replace(FULL, diagnostic="smtp; 550 5.2.2 Mailbox of <ann@dest.example> is full"),
        replace(FULL, diagnostic="smtp; 552 5.1.1 Mailbox of <ann@dest.example> is full"),
        replace(FULL, diagnostic="smtp; 552 5.2.2 There is no mailbox <ann@dest.example>"),
    ],
)
def test_a_report_that_says_more_is_another_one(more: RecipientStatus) -> None:
    assert of(FULL) != of(more)


def test_what_is_written_in_words_counts_by_its_words() -> None:
    hello = Report(ReportKind.UNRECOGNISED, subject="Hello 1", excerpt="Where is my order 4711?")
    again = replace(hello, subject="Hello 2", excerpt="Where is my order 4712?")
    other = replace(hello, excerpt="Thank you.")
    assert digest(hello) == digest(again) != digest(other)


def test_deliveries_kinds_and_what_it_was_taken_for_are_told_apart() -> None:
    abuse = read(feedback_report())
    made = {
        digest(abuse, EventKind.COMPLAINED),
        digest(abuse, EventKind.RETURNED),  # not believed
        digest(abuse, EventKind.COMPLAINED, UUID(int=2)),
        digest(read(feedback_report(kind="not-spam")), EventKind.COMPLAINED),
        digest(read(feedback_report(kind="other")), EventKind.COMPLAINED),
        digest(read(feedback_report(kind="of-their-own")), EventKind.COMPLAINED),
    }
    assert len(made) == 6


def test_what_else_a_complaint_names_does_not_make_it_another_one() -> None:
    """Else one complaint could be repeated with another address in it."""
    varied = [
        feedback_report(),
        feedback_report(kind="fraud"),
        feedback_report(recipient="bob@dest.example", mail_from="x@y.example"),
        feedback_report("Subject: another\n").replace(b"Subject: complaint", b"Subject: c"),
    ]
    assert len({digest(read(content)) for content in varied}) == 1
