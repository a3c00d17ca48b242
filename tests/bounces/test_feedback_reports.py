"""Complaints and their relatives: what decides is the type that the report states."""

import pytest

from bounces.core.reading import read
from bounces.core.report import Feedback, Report, ReportKind
from bounces.core.verdict import Note, decide
from posthouse.mail.events import EventKind
from servers.returned_mail import OURS

ORIGINAL = (
    "Received: from relay.sender.example by mx.dest.example\n"
    "From: News <news@sender.example>\nX-Posthouse-Id: abc\nTo: ann@dest.example\n\nBuy!\n"
)


def report(fields: str, original: str = ORIGINAL) -> Report:
    content = (
        "From: feedback@dest.example\nSubject: FW: news\n"
        "Content-Type: multipart/report; report-type=feedback-report; boundary=b\n\n"
        f"--b\n\nA report.\n--b\nContent-Type: message/feedback-report\n\n{fields}\n"
        f"--b\nContent-Type: message/rfc822\n\n{original}\n--b--\n"
    )
    return read(content.encode())


@pytest.mark.parametrize(
    ("stated", "kind", "event"),
    [
        ("abuse", ReportKind.COMPLAINT, EventKind.COMPLAINED),
        ("Fraud", ReportKind.COMPLAINT, EventKind.COMPLAINED),
        ("virus", ReportKind.COMPLAINT, EventKind.COMPLAINED),
        ("not-spam", ReportKind.NOT_SPAM, EventKind.RETURNED),
        ("auth-failure", ReportKind.AUTH_FAILURE, EventKind.RETURNED),
        ("opt-out", ReportKind.OPT_OUT, EventKind.RETURNED),
        ("other", ReportKind.FEEDBACK, EventKind.RETURNED),
        ("x-tested", ReportKind.FEEDBACK, EventKind.RETURNED),
        ("", ReportKind.FEEDBACK, EventKind.RETURNED),
    ],
)
def test_the_type_decides(stated: str, kind: ReportKind, event: EventKind) -> None:
    found = report(f"Feedback-Type: {stated}\nVersion: 1\n")
    assert found.kind is kind
    verdict = decide(found, OURS)
    assert isinstance(verdict, Note)
    assert verdict.kind is event


def test_all_that_a_report_says_is_kept() -> None:
    found = report(
        "Feedback-Type: abuse\nVersion: 1\nOriginal-Mail-From: <b+1@bounce.sender.example>\n"
        "Original-Rcpt-To: <ann@dest.example>\nOriginal-Rcpt-To: rfc822; bob@dest.example\n"
        "Reported-Domain: sender.example\nSource-IP: 192.0.2.1\n"
    )
    assert found.feedback == Feedback(
        type="abuse",
        original_mail_from="b+1@bounce.sender.example",
        original_recipients=("ann@dest.example", "bob@dest.example"),
        reported_domains=("sender.example",),
        source_ip="192.0.2.1",
    )
    assert found.original["x-posthouse-id"] == "abc"
    assert found.original["from"] == "News <news@sender.example>"


def test_of_the_original_a_bounded_number_of_short_fields_is_kept() -> None:
    many = "".join(f"X-{number}: {'x' * 3000}\n" for number in range(500))
    found = report("Feedback-Type: abuse\nVersion: 1\n", f"{many}\nBuy!\n")
    assert len(found.original) <= 150
    assert max(map(len, found.original.values())) <= 1000


def test_a_complaint_that_is_the_original_alone_is_a_complaint() -> None:
    content = (
        "From: staff@provider.example\nSubject: complaint about message from 192.0.2.1\n"
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n"
        f"X-HmXmrOriginalRecipient: ann@dest.example\n{ORIGINAL}\n--b--\n"
    )
    found = read(content.encode())
    assert found.kind is ReportKind.COMPLAINT
    assert found.feedback is not None
    assert found.feedback.original_recipients == ("ann@dest.example",)


def test_a_complaint_in_the_json_of_a_hosted_service_is_a_complaint() -> None:
    content = (
        b"From: no-reply@cloud.example\nSubject: Notification\n\n"
        b'{"notificationType":"Complaint","complaint":{"complainedRecipients":'
        b'[{"emailAddress":"ann@dest.example"}]}}\n'
    )
    found = read(content)
    assert found.kind is ReportKind.COMPLAINT
    assert found.feedback is not None
    assert found.feedback.original_recipients == ("ann@dest.example",)


def test_the_fields_are_found_in_the_text_of_a_badly_declared_report() -> None:
    content = (
        b"From: feedback@dest.example\nSubject: FW: news\n\nA report.\n\n"
        b"Feedback-Type: abuse\nUser-Agent: x\nVersion: 1\nOriginal-Rcpt-To: ann@dest.example\n"
    )
    found = read(content)
    assert found.kind is ReportKind.COMPLAINT
    assert found.feedback is not None
    assert found.feedback.original_recipients == ("ann@dest.example",)


def test_a_report_of_a_failure_that_returns_a_complaint_is_a_failure() -> None:
    content = (
        b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status"
        b"\n\n\nFinal-Recipient: rfc822; ann@dest.example\nAction: failed\nStatus: 5.1.1\n"
        b"--b\nContent-Type: message/rfc822\n\nContent-Type: message/feedback-report\n\n"
        b"Feedback-Type: abuse\nVersion: 1\n--b--\n"
    )
    assert read(content).kind is ReportKind.DSN


def test_a_failure_of_a_message_about_abuse_is_a_failure() -> None:
    content = (
        "From: MAILER-DAEMON@mx.dest.example\nSubject: Undeliverable: abuse report\n"
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nCould not be delivered to:\n\n"
        f"ann@dest.example\n--b\nContent-Type: message/rfc822\n\n{ORIGINAL}\n--b--\n"
    )
    found = read(content.encode())
    assert found.kind is ReportKind.FREE_TEXT
    assert [one.address for one in found.recipients] == ["ann@dest.example"]
