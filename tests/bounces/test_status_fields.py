"""The fields of a report, divided and dressed as real servers do it."""

import pytest

from bounces.core.reports.reading import read
from bounces.core.reports.report import ReportKind
from bounces.core.reports.status_fields import read_status_fields
from bounces.core.verdict import Note, decide
from posthouse.mail.dsn_action import Action
from posthouse.mail.events import EventKind
from servers.returned_mail import OURS

ZED = "Final-Recipient: rfc822; zed@dest.example\nAction: failed\nStatus: 5.1.1\n"
ANN = "Final-Recipient: rfc822; ann@dest.example\nAction: delivered\nStatus: 2.0.0\n"
HEAD = "Reporting-MTA: dns; mx.dest.example\n"


def found(body: str) -> list[tuple[str, Action, str]]:
    _, recipients = read_status_fields(body.encode())
    return [(one.address, one.action, one.status) for one in recipients]


BOTH = [("zed@dest.example", "failed", "5.1.1"), ("ann@dest.example", "delivered", "2.0.0")]


@pytest.mark.parametrize(
    "body",
    [
        f"{HEAD}\n{ZED}\n{ANN}",
        f"{HEAD}\n\n\n{ZED}\n\n\n\n{ANN}",
        f"{HEAD}  \n{ZED} \t \n{ANN}",  # lines of blanks divide as well
        f"{HEAD}{ZED}{ANN}",  # nothing divides
        f"\n\n{ZED}\n{ANN}",
        f"{HEAD}\n{ZED}\n{ANN}\n\nHere ends the report.\n",
    ],
    ids=["as it should be", "many empty lines", "blanks", "no empty line", "no head", "a tail"],
)
def test_two_groups_stay_two_however_they_are_divided(body: str) -> None:
    assert found(body) == BOTH


def test_a_group_torn_by_an_empty_line_stays_one() -> None:
    torn = "Final-Recipient: rfc822; zed@dest.example\n\nAction: failed\n\nStatus: 5.1.1\n"
    assert found(f"{HEAD}\n{torn}\n{ANN}") == BOTH


def test_what_is_said_once_for_the_message_is_said_of_its_first_recipient() -> None:
    body = f"{HEAD}Action: failed\n\nStatus: 4.7.0\nFinal-Recipient: rfc822; zed@dest.example\n"
    assert found(body) == [("zed@dest.example", "failed", "4.7.0")]


@pytest.mark.parametrize(
    ("field", "address"),
    [
        ("rfc822; zed@dest.example", "zed@dest.example"),
        ("rfc822;<zed@dest.example>", "zed@dest.example"),
        ("RFC822; rfc822; zed@dest.example", "zed@dest.example"),
        ("zed@dest.example", "zed@dest.example"),
        ("rfc822; zed@dest.example (Zed)", "zed@dest.example"),
        (r"utf-8; z\x{E9}d@dest.example", "z\u00e9d@dest.example"),
        (r"utf-8; z\x{FFFFFF}d@dest.example", r"z\x{FFFFFF}d@dest.example"),
        ("x400; /S=ZED/C=GB/", ""),
        ("LOCAL; zed", ""),
    ],
)
def test_an_address_is_found_in_any_dress(field: str, address: str) -> None:
    assert found(f"Final-Recipient: {field}\nAction: failed\n") == [(address, "failed", "")]


def test_an_original_recipient_stands_in_for_a_final_one_that_is_no_address() -> None:
    body = (
        "Original-Recipient: rfc822; zed@dest.example\nFinal-Recipient: x400; /S=Z/\nStatus: 5.1.1"
    )
    assert found(body) == [("zed@dest.example", "failed", "5.1.1")]


@pytest.mark.parametrize(
    ("word", "status", "action"),
    [
        ("failed", "4.4.7", "failed"),
        ("Failed (expired)", "5.0.0", "failed"),
        ("error", "5.0.0", "failed"),
        ("expired", "", "failed"),
        ("deferred", "4.0.0", "delayed"),
        ("delayed", "4.4.1", "delayed"),
        ("", "5.1.1", "failed"),
        ("", "4.1.1", "delayed"),
        ("nonsense", "2.0.0", "delivered"),
        ("relayed", "", "relayed"),
        ("expanded", "2.0.0", "expanded"),
    ],
)
def test_an_action_is_known_by_its_word_or_its_status(word: str, status: str, action: str) -> None:
    body = f"Final-Recipient: rfc822; zed@dest.example\nAction: {word}\nStatus: {status}\n"
    assert found(body) == [("zed@dest.example", action, status)]


def test_zed_failed_and_ours_was_delivered_so_nobody_is_suppressed() -> None:
    content = f"Content-Type: message/delivery-status\n\n{HEAD} \n{ZED}  \n{ANN}"
    verdict = decide(read(content.encode()), OURS)
    assert isinstance(verdict, Note)
    assert verdict.kind is EventKind.CONFIRMED


def test_a_report_that_asks_the_sender_to_confirm_is_a_challenge() -> None:
    asked = f"{ZED}Diagnostic-Code: X-Notice; Sender not pre-approved\n"
    for fields, kind in ((asked, ReportKind.CHALLENGE), (ZED, ReportKind.DSN)):
        content = (
            "Content-Type: multipart/report; boundary=b\n\n--b\n\nConfirm your address: http://x\n"
            f"--b\nContent-Type: message/delivery-status\n\n{HEAD}\n{fields}\n--b--\n"
        )
        assert read(content.encode()).kind is kind


PARTS = f"\n--b\n\nYour message failed.\n--b\n%s\n\n{HEAD}\n{ZED}\n--b--\n"


@pytest.mark.parametrize(
    ("top", "status"),
    [
        ("multipart/report; boundary=b", "Content-Type: message/delivery-status"),
        ("multipart/report; boundary=b", "Content-Type: message/global-delivery-status"),
        ("multipart/mixed; boundary=b", "Content-Type: text/plain"),
        ("multipart/report; boundary=other", "Content-Type: message/delivery-status"),
        ("multipart/report", "Content-Type: message/delivery-status"),
        ("text/plain", "Content-Type: message/delivery-status"),
    ],
    ids=["plain", "RFC 6533", "wrong type", "wrong boundary", "no boundary", "no multipart"],
)
def test_a_report_is_found_in_a_message_that_declares_it_badly(top: str, status: str) -> None:
    report = read(f"Content-Type: {top}\n{PARTS % status}".encode())
    assert report.kind is ReportKind.DSN
    assert report.reporting_mta == "mx.dest.example"
    assert [one.address for one in report.recipients] == ["zed@dest.example"]
