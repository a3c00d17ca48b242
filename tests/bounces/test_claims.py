"""Whose message a feedback report is about: only what we signed says so."""

from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest

from bounces.core.claims import Claim, ClaimKeys, Doubt, claim_of, delivery_of
from bounces.core.reports.reading import read
from bounces.core.reports.report import Report
from posthouse.mail import return_path, signed_id
from posthouse.mail.signed_id import SignedId
from posthouse.mail.submission import Delivery
from servers.returned_mail import OURS, feedback_report

TODAY = date(2026, 3, 3)
KEY, OTHER = b"k" * 32, b"o" * 32
KEYS = ClaimKeys((KEY,), (KEY,))
ACCOUNT, SUBMISSION, RENDITION = (UUID(int=n) for n in (3, 2, 4))
SIGNED = SignedId(ACCOUNT, SUBMISSION, RENDITION.bytes[-5:])
ANN = replace(OURS, return_path=return_path.sign(OURS.id, "b.sender.example", KEY, TODAY))
BOB = replace(
    ANN,
    id=UUID(int=11),
    recipient="bob@dest.example",
    return_path=return_path.sign(UUID(int=11), "b.sender.example", KEY, TODAY),
)


def id_field(key: bytes = KEY, days: int = 0) -> str:
    """The field of our message, signed some *days* ago."""
    field = signed_id.sign(ACCOUNT, SUBMISSION, RENDITION, key, TODAY - timedelta(days))
    return field.raw.decode().replace("\r", "")


def path(key: bytes = KEY, days: int = 0) -> str:
    return return_path.sign(ANN.id, "b.sender.example", key, TODAY - timedelta(days))


def report(header: str = "", mail_from: str = "", recipient: str = "") -> Report:
    return read(feedback_report(header, mail_from=mail_from, recipient=recipient))


@pytest.mark.parametrize(
    ("header", "mail_from", "wanted"),
    [
        (id_field(), "", Claim(SIGNED)),
        (id_field(days=90), "", Claim(SIGNED)),
        ("", path(), Claim(None, ANN.id)),
        ("", path(days=14), Claim(None, ANN.id)),
        (id_field(), path(), Claim(SIGNED, ANN.id)),
        (id_field(), "somebody@else.example", Claim(SIGNED)),
        (id_field(days=20), path(days=20), Claim(SIGNED)),
        (id_field().lower().split(":")[0] + ":\n " + id_field().split(": ")[1], "", Claim(SIGNED)),
    ],
    ids=["id", "old id", "return path", "old return path", "both", "another sender",
         "the id outlives the return path", "folded, in lower case"],
)  # fmt: skip
def test_a_report_claims_what_we_signed(header: str, mail_from: str, wanted: Claim) -> None:
    assert wanted == claim_of(report(header, mail_from), KEYS, TODAY)


@pytest.mark.parametrize(
    ("header", "mail_from", "doubt"),
    [
        ("", "", Doubt.UNSIGNED),
        ("", "news@sender.example", Doubt.UNSIGNED),
        (id_field(OTHER), "", Doubt.FORGED),
        (id_field().lower(), "", Doubt.FORGED),
        (id_field()[:-3] + "\n", "", Doubt.FORGED),
        ("X-Posthouse-Id: me\n", path(), Doubt.FORGED),
        (id_field(), path(OTHER), Doubt.FORGED),
        ("", path(OTHER), Doubt.FORGED),
        (id_field(days=91), "", Doubt.EXPIRED),
        ("", path(days=15), Doubt.EXPIRED),
    ],
)
def test_what_we_did_not_sign_is_no_claim(header: str, mail_from: str, doubt: Doubt) -> None:
    assert doubt is claim_of(report(header, mail_from), KEYS, TODAY)


def test_an_id_that_stands_beside_the_returned_message_is_not_its_id() -> None:
    """In the header of the report itself, or in its body, it may have been copied."""
    content = id_field().encode() + feedback_report()
    assert Doubt.UNSIGNED is claim_of(read(content), KEYS, TODAY)
    content = feedback_report().replace(b"Hello.", id_field().encode())
    assert Doubt.UNSIGNED is claim_of(read(content), KEYS, TODAY)


@pytest.mark.parametrize(
    ("deliveries", "mail_from", "recipient", "came_to", "found"),
    [
        ((ANN,), "", "", "", ANN),
        ((ANN,), "", "ann.private@elsewhere.example", "", ANN),
        ((ANN, BOB), "", "BOB@Dest.Example", "", BOB),
        ((ANN, BOB), ANN.return_path, "bob@dest.example", "", ANN),
        ((ANN, BOB), "", "bob@dest.example", ANN.return_path, ANN),
        ((ANN, BOB), "", "", "", None),
        ((ANN, BOB), "", "victim@dest.example", "", None),
        ((ANN, BOB), BOB.return_path, "", ANN.return_path, None),
        ((ANN, replace(BOB, rendition_id=UUID(int=5))), "", "bob@dest.example", "", ANN),
        ((), "", "ann@dest.example", "", None),
    ],
    ids=["the only one", "forwarded", "named", "by return path", "by where it came to",
         "nobody named", "none of ours", "two return paths", "of another copy", "past retention"],
)  # fmt: skip
def test_recipients_of_one_copy_are_told_apart(
    deliveries: tuple[Delivery, ...],
    mail_from: str,
    recipient: str,
    came_to: str,
    found: Delivery | None,
) -> None:
    about = report(id_field(), mail_from, recipient)
    assert found == delivery_of(SIGNED, deliveries, about, came_to)


def test_the_return_path_in_the_returned_header_tells_them_apart_too() -> None:
    about = report(f"Return-Path: <{BOB.return_path.upper()}>\n{id_field()}")
    assert BOB == delivery_of(SIGNED, (ANN, BOB), about, "")
