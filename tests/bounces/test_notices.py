"""Each notice in notices/, in free text, beside the recipients that it has to be read for."""

import json
from pathlib import Path
from typing import Any

import pytest

from bounces.core.classification import classify
from bounces.core.reading import read
from bounces.core.report import ReportKind
from bounces.core.verdict import Suppress, decide
from servers.returned_mail import OURS

NOTICES = sorted((Path(__file__).parent / "notices").glob("*.eml"))


def recipients(content: bytes) -> list[dict[str, Any]]:
    return [
        {
            "address": one.status.address,
            "action": str(one.status.action),
            "class": str(one.judgement.kind),
            "status": one.status.status,
        }
        for one in classify(read(content))
    ]


@pytest.mark.parametrize("path", NOTICES, ids=lambda path: path.stem)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
def test_a_notice_names_whom_it_concerns(path: Path, line_end: bytes) -> None:
    wanted = json.loads(path.with_suffix(".json").read_text())["recipients"]
    found = recipients(path.read_bytes().replace(b"\n", line_end))
    assert [one["address"] for one in wanted] == [one["address"] for one in found]
    for want, one in zip(wanted, found, strict=True):
        assert want == {name: one[name] for name in want}


@pytest.mark.parametrize("path", NOTICES, ids=lambda path: path.stem)
def test_no_notice_in_free_text_suppresses(path: Path) -> None:
    report = read(path.read_bytes())
    assert report.kind is ReportKind.FREE_TEXT
    assert not isinstance(decide(report, OURS), Suppress)


def mail(author: str, subject: str, text: str, fields: str = "") -> bytes:
    return f"From: {author}\nSubject: {subject}\n{fields}\n{text}\n".encode()


PEOPLE = {
    "a person": mail(
        "Ann <ann@dest.example>",
        "Re: Delivery problem",
        "The parcel could not be delivered to ann@dest.example, please call.",
    ),
    "a shop": mail(
        "Shop <news@shop.example>",
        "Has your delivery failed? Get a refund",
        "Failed deliveries are a problem. Contact us@shop.example",
    ),
    "a forwarded message": mail(
        "Ann <ann@dest.example>",
        "Fwd: news",
        "I could not open it.\n\n---- Forwarded message ----\nFrom: a@b.example\nTo: c@d.example\n"
        "Message-ID: <1@b.example>\n\nhello",
    ),
}


@pytest.mark.parametrize("content", PEOPLE.values(), ids=PEOPLE)
def test_what_people_write_is_no_notice(content: bytes) -> None:
    assert read(content).kind is ReportKind.UNRECOGNISED


AUTOMATIC = {
    "a marked reply": (
        mail("Ann <ann@dest.example>", "Re: x", "Hello", "Auto-Submitted: auto-replied\n"),
        ReportKind.AUTO_REPLY,
    ),
    "a reply that a mailbox is no longer read": (
        mail(
            "Ann <ann@dest.example>",
            "Re: Your order",
            "My old mailbox does not exist any longer, write to\nbob@dest.example\n\n"
            "----- Original message -----\nFrom: News <news@sender.example>\n"
            "To: ann@dest.example\nMessage-ID: <1@sender.example>\n",
            "Auto-Submitted: auto-replied\n",
        ),
        ReportKind.AUTO_REPLY,
    ),
    "German": (
        mail("ann@dest.example", "Abwesenheitsnotiz: x", "Ich bin nicht im Büro."),
        ReportKind.AUTO_REPLY,
    ),
    "Polish, encoded": (
        mail("ann@dest.example", "=?iso-8859-2?Q?Automatyczna_odpowied=BC:_x?=", "Urlop"),
        ReportKind.AUTO_REPLY,
    ),
    "Japanese": (mail("ann@dest.example", "自動応答: x", "不在です"), ReportKind.AUTO_REPLY),
    "a challenge": (
        mail(
            "ann@dest.example",
            "Re: x",
            "My account is protected by a filter. Open http://dest.example/1 to be let in.",
        ),
        ReportKind.CHALLENGE,
    ),
    "a DMARC report": (
        mail(
            "noreply@dest.example",
            "Report Domain: sender.example Submitter: dest.example",
            "",
            "Content-Type: application/gzip\n",
        ),
        ReportKind.DMARC_REPORT,
    ),
    "a TLS report": (
        mail(
            "noreply@dest.example",
            "Report Domain: sender.example",
            "",
            "Content-Type: application/tlsrpt+gzip\n",
        ),
        ReportKind.TLS_REPORT,
    ),
}


@pytest.mark.parametrize(("content", "kind"), AUTOMATIC.values(), ids=AUTOMATIC)
def test_what_programs_send_besides_is_told_apart(content: bytes, kind: ReportKind) -> None:
    assert read(content).kind is kind
