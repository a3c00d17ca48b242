"""The parameters of DSN: RFC 3461 section 4, RFC 6533 section 3."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.dsn_request import DsnRequest, Notify, RecipientRequest, Return, xtext
from posthouse.mail.reply import Reply
from posthouse.mail.submission import Attributes
from posthouse.smtp import replies
from posthouse.smtp.commands import Mail, read_mail, read_rcpt
from posthouse.smtp.session_state import IncomingEnvelope

S, F, D = Notify.SUCCESS, Notify.FAILURE, Notify.DELAY


def of_mail(parameters: str) -> DsnRequest | None:
    mail = read_mail(f"FROM:<jo@a.example> {parameters}".rstrip())
    assert isinstance(mail, Mail)
    return mail.dsn


def of_rcpt(parameters: str, *, smtputf8: bool = False) -> RecipientRequest | None:
    rcpt = read_rcpt(f"TO:<x@there.example> {parameters}".rstrip(), smtputf8=smtputf8)
    assert not isinstance(rcpt, Reply), rcpt
    return rcpt[1]


@pytest.mark.parametrize(
    ("parameters", "asked"),
    [
        ("", None),
        ("SIZE=10", None),
        ("RET=FULL", DsnRequest(Return.FULL)),
        ("ret=hdrs SIZE=3", DsnRequest(Return.HDRS)),
        ("ENVID=QQ314159", DsnRequest(None, "QQ314159")),
        ("ENVID=a+20b+2Bc+3Dd RET=HDRS", DsnRequest(Return.HDRS, "a b+c=d")),
        (f"ENVID={'x' * 100}", DsnRequest(None, "x" * 100)),
    ],
)
def test_what_a_message_asks_for(parameters: str, asked: DsnRequest | None) -> None:
    assert asked == of_mail(parameters)


@pytest.mark.parametrize(
    ("parameters", "asked"),
    [
        ("", None),
        ("NOTIFY=NEVER", RecipientRequest(())),
        ("notify=delay,Success", RecipientRequest((S, D))),
        ("NOTIFY=FAILURE,FAILURE", RecipientRequest((F,))),
        ("NOTIFY=SUCCESS,FAILURE,DELAY", RecipientRequest((S, F, D))),
        ("ORCPT=rfc822;Bob+2Bspam@x.example", RecipientRequest(None, "rfc822;Bob+spam@x.example")),
        ("ORCPT=RFC822;a;b", RecipientRequest(None, "RFC822;a;b")),
        ("ORCPT=x400;/c+3Dde/ NOTIFY=DELAY", RecipientRequest((D,), "x400;/c=de/")),
        (f"ORCPT=rfc822;{'x' * 493}", RecipientRequest(None, f"rfc822;{'x' * 493}")),
        (
            r"ORCPT=utf-8;fran\x{E7}oise@\x{1F600}.example",
            RecipientRequest(None, r"utf-8;fran\x{E7}oise@\x{1F600}.example"),
        ),
        (r"ORCPT=utf-8;a\x{2B}b", RecipientRequest(None, r"utf-8;a\x{2B}b")),
    ],
)
def test_what_is_asked_about_a_recipient(parameters: str, asked: RecipientRequest | None) -> None:
    assert asked == of_rcpt(parameters)


def test_an_original_recipient_in_utf_8_is_kept_in_ascii() -> None:
    """RFC 6533 section 3: so every server can take it, and a report can show it."""
    asked = of_rcpt("ORCPT=utf-8;françoise@dest.example", smtputf8=True)
    assert asked == RecipientRequest(None, r"utf-8;fran\x{E7}oise@dest.example")


@pytest.mark.parametrize(
    "parameters",
    [
        "RET",
        "RET=",
        "RET=BODY",
        "RET=FULL RET=FULL",
        "ENVID",
        "ENVID=",
        "ENVID=a=b",
        "ENVID=a+b",
        "ENVID=+2b",
        "ENVID=a+0D+0ABcc:x",
        "ENVID=+00",
        "ENVID=+7F",
        "ENVID=+E9",
        "ENVID=\u00e9",
        "ENVID=+\uff11\uff11",
        f"ENVID={'x' * 101}",
        "ENVID=a ENVID=a",
    ],
)
def test_a_wrong_parameter_of_mail_is_refused(parameters: str) -> None:
    reply = read_mail(f"FROM:<jo@a.example> {parameters}")
    assert isinstance(reply, Reply)
    assert (501, "5.5.4") == (reply.code, reply.enhanced)


@pytest.mark.parametrize(
    "parameters",
    [
        "NOTIFY",
        "NOTIFY=",
        "NOTIFY=SUCCESS,NEVER",
        "NOTIFY=NEVER,NEVER",
        "NOTIFY=SUCCESS,,DELAY",
        "NOTIFY=SUCCESS,",
        "NOTIFY=SUCESS",
        "NOTIFY=DELAY NOTIFY=DELAY",
        "ORCPT=x@there.example",
        "ORCPT=rfc822",
        "ORCPT=rfc822;",
        "ORCPT=;x@there.example",
        "ORCPT=rfc 822;x",
        "ORCPT=rfc822;a=b",
        "ORCPT=rfc822;a+0D+0ABcc:+20x",
        "ORCPT=rfc822;+C3+A9",
        "ORCPT=rfc822;\u00e9@there.example",
        f"ORCPT=rfc822;{'x' * 494}",
        "ORCPT=utf-8;\u00e9@there.example",  # SMTPUTF8 was not given
        "ORCPT=utf-8;a+b",
        r"ORCPT=utf-8;a\b",
        r"ORCPT=utf-8;\x{D}\x{A}",
        r"ORCPT=utf-8;\x{0D}\x{0A}",
        r"ORCPT=utf-8;\x{00}",
        r"ORCPT=utf-8;\x{D800}",
        r"ORCPT=utf-8;\x{202E}",
        r"ORCPT=utf-8;\x{FFFFFF}",
        "ORCPT=rfc822;a ORCPT=rfc822;a",
    ],
)
def test_a_wrong_parameter_of_rcpt_is_refused(parameters: str) -> None:
    reply = read_rcpt(f"TO:<x@there.example> {parameters}", smtputf8=False)
    assert isinstance(reply, Reply)
    assert reply.code in (501, 555)
    assert reply.enhanced == "5.5.4"


def test_a_refusal_says_what_was_seen_and_what_is_allowed() -> None:
    said = [
        str(read_mail("FROM:<jo@a.example> RET=BODY")),
        str(read_mail(f"FROM:<jo@a.example> ENVID={'y' * 101}")),
        str(read_mail("FROM:<jo@a.example> RET=FULL RET=FULL")),
        str(read_rcpt("TO:<x@there.example> NOTIFY=YES", smtputf8=False)),
    ]
    assert said == [
        "501 5.5.4 MAIL parameter RET='BODY': FULL or HDRS is allowed",
        f"501 5.5.4 MAIL parameter ENVID='{'y' * 80}...': 101 characters seen, 100 are allowed",
        "501 5.5.4 MAIL parameter RET seen twice, once is allowed",
        (
            "501 5.5.4 RCPT parameter NOTIFY='YES': NEVER, or a list of SUCCESS, FAILURE and DELAY "
            "is allowed"
        ),
    ]


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30))
def test_what_was_encoded_is_read_as_it_was(text: str) -> None:
    assert of_mail(f"ENVID={xtext(text)}") == DsnRequest(None, text)
    assert of_rcpt(f"ORCPT=rfc822;{xtext(text)}") == RecipientRequest(None, f"rfc822;{text}")


@given(st.text(), st.booleans())
def test_no_value_breaks_the_reading_and_all_that_is_read_is_printable_ascii(
    text: str, smtputf8: bool
) -> None:
    for value in (text, f"rfc822;{text}", f"utf-8;{text}", xtext(text), f"utf-8;{xtext(text)}"):
        mail = read_mail(f"FROM:<jo@a.example> ENVID={value}")
        if isinstance(mail, Mail) and mail.dsn is not None:
            assert mail.dsn.envelope_id.isascii()
            assert mail.dsn.envelope_id.isprintable()
        rcpt = read_rcpt(f"TO:<x@there.example> ORCPT={value}", smtputf8=smtputf8)
        if isinstance(rcpt, Reply):
            assert replies.written(rcpt).count(b"\n") == replies.written(rcpt).count(b"\r\n")
        elif rcpt[1] is not None:
            assert rcpt[1].original.isascii()
            assert rcpt[1].original.isprintable()
            again = of_rcpt(rcpt[1].parameters.strip())
            assert again == rcpt[1]  # and what is passed on is read as the same


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        (None, None, None),
        (RecipientRequest((S,)), RecipientRequest((D,)), RecipientRequest((S, D))),
        (RecipientRequest(()), RecipientRequest((D,)), RecipientRequest((D,))),
        (RecipientRequest(()), RecipientRequest(()), RecipientRequest(())),
        # Without NOTIFY failures are reported, and so they still are.
        (None, RecipientRequest((S,)), RecipientRequest((S, F))),
        (RecipientRequest(()), None, RecipientRequest((F,))),
        (
            RecipientRequest((S,), "rfc822;a"),
            RecipientRequest((S,), "rfc822;b"),
            RecipientRequest((S,), "rfc822;a"),
        ),
        (None, RecipientRequest(None, "rfc822;b"), RecipientRequest(None, "rfc822;b")),
    ],
)
def test_a_recipient_named_twice_gets_all_that_was_asked(
    first: RecipientRequest | None,
    second: RecipientRequest | None,
    both: RecipientRequest | None,
) -> None:
    envelope = IncomingEnvelope("jo@a.example", smtputf8=False)
    envelope.add("x@there.example", first)
    envelope.add("x@there.example", second)
    assert envelope.recipients == {"x@there.example": both}


def test_an_envelope_without_parameters_asks_for_nothing() -> None:
    envelope = IncomingEnvelope("jo@a.example", smtputf8=False)
    envelope.add("x@there.example", None)
    assert envelope.request is None


def test_what_is_asked_is_stored_and_read_as_it_was() -> None:
    asked = DsnRequest(
        Return.HDRS,
        'a "b" \\ c',
        {
            "x@there.example": RecipientRequest(()),
            "y@there.example": RecipientRequest((S, D), "rfc822;y y"),
            "z@there.example": RecipientRequest(None, "rfc822;z"),
        },
    )
    for one in (asked, DsnRequest(), DsnRequest(Return.FULL)):
        stored: Any = json.loads(json.dumps(Attributes(dsn=one).as_json()))
        assert Attributes.from_json(stored) == Attributes(dsn=one)


def test_parameters_are_written_as_they_came() -> None:
    mail = " RET=FULL ENVID=a+20b+2Bc"
    rcpt = " NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a+3Db@x.example"
    never = " NOTIFY=NEVER"
    asked = of_mail(mail.strip())
    assert asked is not None
    assert asked.parameters == mail
    for one in (rcpt, never):
        of = of_rcpt(one.strip())
        assert of is not None
        assert of.parameters == one
