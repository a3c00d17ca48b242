"""The first one in To and one Bcc get a copy, others none (RULES M11 to M14, X06, X07)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.admission import Admission, admit
from ingest.core.refusals import Refusal
from posthouse.mail.submission import Discarded, RecipientKind
from servers.admitting import admitted, facts_for, incoming, refused

FACTS = facts_for("maxemail")
ANN, BOB, CAT, DAN = (f"{name}@x.example" for name in ("ann", "bob", "cat", "dan"))


def decided(fields: str, *recipients: str, **knobs: str) -> Admission:
    facts = facts_for("maxemail", **knobs) if knobs else FACTS
    return admitted(incoming(f"From: jo@a.example\n{fields}", facts, recipients=recipients))


def reply(fields: str, *recipients: str) -> str:
    return refused(incoming(f"From: jo@a.example\n{fields}", FACTS, recipients=recipients))


def test_M11_only_the_first_address_of_to_counts() -> None:
    found = decided(f"To: Ann <{ANN}>, {BOB}\nCc: {CAT}\nBcc: {DAN}\n", ANN)
    assert (ANN,) == found.recipients
    assert {"To": f"Ann <{ANN}>", "Cc": ""} == found.attributes.shown


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        (f"To: Ann <{ANN}>\n", {}),
        (f"To: {ANN}\nCc: {BOB}\n", {"Cc": ""}),
        (f"To: {ANN}\nTo: {BOB}\n", {"To": ANN}),
        (f'To: "Ann, the first" <{ANN}>; {BOB}\n', {"To": f'"Ann, the first" <{ANN}>'}),
        (f"To: friends: Ann <{ANN}>, {BOB};\n", {"To": f"Ann <{ANN}>"}),
        (f"To: =?utf-8?q?=C3=84nn?= <{ANN}>, {BOB}\n", {"To": f"=?utf-8?q?=C3=84nn?= <{ANN}>"}),
    ],
)
def test_M11_others_are_not_in_the_delivered_header(fields: str, shown: dict[str, str]) -> None:
    found = decided(fields, ANN)
    assert shown == found.attributes.shown
    assert bool(shown) is bool(found.attributes.notes)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (f"To: {ANN}\n", f"The recipient in To, '{ANN}', was not named by RCPT TO"),
        (f"To: {ANN}, {BOB}\n", f"The recipient in To, '{ANN}', was not named by RCPT TO"),
        ("", "The message has no To header"),
        ("To: \n", "The To header is empty"),
        ("To: undisclosed-recipients:;\n", "The To header is empty"),
    ],
)
def test_M12_the_first_in_to_has_to_be_in_rcpt_to(fields: str, text: str) -> None:
    assert f"550 5.6.0 {text}" == reply(fields, BOB)


def test_M12_spellings_of_one_mailbox_are_the_same() -> None:
    assert ("Ann@X.example",) == decided(f"To: {ANN}\n", "Ann@X.example").recipients


def test_M13_of_the_others_the_first_is_a_bcc_and_the_rest_is_discarded() -> None:
    found = decided(f"To: {ANN}\n", BOB, CAT, ANN, DAN)
    assert (ANN, BOB) == found.recipients
    assert {BOB: RecipientKind.BCC} == found.attributes.kinds
    assert (Discarded(CAT, "M13"), Discarded(DAN, "M13")) == found.attributes.discarded


def test_M13_another_spelling_of_the_recipient_in_to_is_no_bcc() -> None:
    """It gets one copy; the next of the others is the Bcc recipient."""
    found = decided(f"To: {ANN}\n", ANN, "Ann@X.example", BOB, CAT)
    assert (ANN, BOB) == found.recipients
    discarded = (Discarded("Ann@X.example", "M13"), Discarded(CAT, "M13"))
    assert discarded == found.attributes.discarded


def test_X07_an_account_may_have_no_bcc_at_all() -> None:
    found = decided(f"To: {ANN}\n", ANN, BOB, recipients__bcc="off")
    assert ((ANN,), {}) == (found.recipients, found.attributes.kinds)
    assert (Discarded(BOB, "M13"),) == found.attributes.discarded


def test_M13_a_message_to_one_recipient_has_no_attributes() -> None:
    """Nothing more is stored of it than of any other."""
    assert decided(f"To: {ANN}\n", ANN).attributes.as_json() is None


@given(st.text(max_size=60))
def test_M11_any_to_is_read_or_refused(value: str) -> None:
    line = value.replace("\r", "").replace("\n", "")
    octets = f"From: jo@a.example\nTo: {line}, <{ANN}>, {BOB}\n".encode()
    result = admit(incoming(octets, FACTS, recipients=(ANN,)))
    if isinstance(result, Refusal):
        assert str(result.reply).isascii()
    else:
        assert "\n" not in "".join(result.attributes.shown.values())
