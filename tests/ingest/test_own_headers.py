"""Our own control headers: what they mean, and what is said of a value that means nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.admission import Admission, Incoming, SessionFacts, first_decision
from ingest.core.message_head import MessageHead
from ingest.core.own_headers import digest, read_own_headers
from ingest.core.refusals import Reason, Refusal
from ingest.core.rules import rules_for
from ingest.session_facts import KnownFacts
from posthouse.mail.message import Header
from posthouse.mail.submission import NO_ATTRIBUTES
from posthouse.mail.terms import NO_TERMS
from posthouse.profiles import resolve
from posthouse.store.logins import AccountProfile
from servers.door import LOGIN

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
FACTS = KnownFacts(1_000_000, 65_536).of(LOGIN)


def incoming(*lines: str, facts: SessionFacts = FACTS) -> Incoming:
    octets = "".join(f"{line}\r\n" for line in ("From: jo@a.example", *lines)).encode()
    head = MessageHead(octets + b"\r\n", Header.parse(octets))
    to = ("al@there.example",)
    return Incoming(head, "jo@a.example", to, facts, arrived_at=NOW.timestamp())


def decide(*lines: str, facts: SessionFacts = FACTS) -> Admission:
    message = incoming(*lines, facts=facts)
    decided = read_own_headers(message, first_decision(message))
    assert isinstance(decided, Admission), decided
    return decided


def refusal(*lines: str) -> str:
    message = incoming(*lines)
    refused = read_own_headers(message, first_decision(message))
    assert isinstance(refused, Refusal)
    assert (Reason.CONTROL, 550, "5.6.0") == (
        refused.reason,
        refused.reply.code,
        refused.reply.enhanced,
    )
    assert refused.reply.text.isascii()
    assert refused.reply.text.isprintable()
    return refused.reply.text


def test_a_message_without_them_is_left_as_it_is() -> None:
    decided = decide("Subject: hello", "X-Posthouse-Other: 1")
    assert decided.attributes is NO_ATTRIBUTES
    assert decided.terms is NO_TERMS


def test_only_profiles_that_say_so_obey_them() -> None:
    """A6 rule 2; policy removes them for all."""
    native = resolve("native")
    other = resolve("native", None, {"control.own": False})
    assert read_own_headers in rules_for(native)
    assert read_own_headers not in rules_for(other)


def test_tags_are_listed_in_one_header_or_several() -> None:
    lines = ("X-Posthouse-Tag: winter sale, vip,", "x-posthouse-tag: vip, Grüße")
    assert ("winter sale", "vip", "Grüße") == decide(*lines).attributes.tags


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("x" * 65, "up to 64 printable characters"),
        ("a\x07b", "up to 64 printable characters"),
        (",".join("abcdefghijk"), "at most 10 tags are allowed"),
    ],
)
def test_a_tag_beyond_the_grammar_is_refused(value: str, why: str) -> None:
    assert why in refusal(f"X-Posthouse-Tag: {value}")


def test_the_grammar_of_tags_is_that_of_the_profile() -> None:
    knobs = {"tags.charset": "letters_digits_hyphen"}
    facts = replace(FACTS, profile=resolve("native", None, knobs))
    assert ("winter-sale",) == decide("X-Posthouse-Tag: winter-sale", facts=facts).attributes.tags
    message = incoming("X-Posthouse-Tag: winter sale", facts=facts)
    assert isinstance(read_own_headers(message, first_decision(message)), Refusal)


def test_metadata_is_a_json_object() -> None:
    line = 'X-Posthouse-Metadata: {"order": 17,\r\n "who": {"name": "Zo\\u00eb"}}'
    assert {"order": 17, "who": {"name": "Zoë"}} == decide(line).attributes.metadata


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("[1]", "a JSON object is allowed: it must be of type"),
        ("", "a JSON object is allowed: Expecting value at character 1"),
        ('{"a": 1', "Expecting ',' delimiter at character 8"),
        ('{"a": NaN}', "NaN is no JSON"),
        ('{"a": "é"}', "is not ASCII"),
        (f'{{"a": "{"e" * 992}"}}', "at most 1000 octets are allowed"),
    ],
)
def test_metadata_that_cannot_be_kept_is_refused(value: str, why: str) -> None:
    assert why in refusal(f"X-Posthouse-Metadata: {value}")


@pytest.mark.parametrize(
    ("value", "opens", "clicks"),
    [("opens", True, False), ("Clicks , opens", True, True), ("none", False, False)],
)
def test_what_is_tracked(value: str, *, opens: bool, clicks: bool) -> None:
    flags = decide(f"X-Posthouse-Track: {value}").attributes.flags
    assert {"open_tracking": opens, "click_tracking": clicks} == flags


def test_X08_a_profile_may_let_no_header_decide_about_tracking() -> None:
    knobs = {"tracking.header_overrides": False}
    own = AccountProfile(LOGIN.account_id, "ours", 1, "native", 1, knobs)
    facts = KnownFacts(1_000_000, 65_536).of(replace(LOGIN, profile="ours", own_profile=own))
    assert {} == decide("X-Posthouse-Track: opens", facts=facts).attributes.flags


@pytest.mark.parametrize("value", ["", "all", "none, opens", "opens clicks"])
def test_other_words_about_tracking_are_refused(value: str) -> None:
    assert '"opens", "clicks", both' in refusal(f"X-Posthouse-Track: {value}")


@pytest.mark.parametrize(
    "value",
    [
        "Wed, 1 Jul 2026 15:00:00 +0200",
        "1 Jul 2026 13:00:00 -0000",
        "2026-07-01T13:00:00Z",
        "2026-07-01 15:00+02:00",
        str(int(NOW.timestamp()) + 3600),
    ],
)
def test_the_time_to_send_at_is_written_in_three_ways(value: str) -> None:
    expected = NOW + timedelta(hours=1)
    assert expected == decide(f"X-Posthouse-Send-At: {value}").terms.send_at


@pytest.mark.parametrize("value", ["2026-07-01T12:00:00Z", "0", "Wed, 3 Jan 1990 00:00:00 GMT"])
def test_a_time_that_is_past_is_now(value: str) -> None:
    assert decide(f"X-Posthouse-Send-At: {value}").terms is NO_TERMS


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("2026-07-01T13:00:00", "the zone is missing: add Z"),
        ("2026-07-31T12:00:01Z", "more than 30 days ahead"),
        ("9" * 11, "more than 30 days ahead"),
        ("9" * 12, "is allowed"),
        ("9999-12-31T23:59:59-23:59", "is allowed"),
        ("0001-01-01T00:00:00+23:59", "is allowed"),
        ("tomorrow", "is allowed"),
        ("31 Feb 2027 10:00 +0000", "is allowed"),
        ("-5", "is allowed"),
        ("", "is allowed"),
    ],
)
def test_a_time_that_cannot_be_kept_is_refused(value: str, why: str) -> None:
    text = refusal(f"X-Posthouse-Send-At: {value}")
    assert why in text
    assert value in text


@given(st.text(max_size=40))
def test_any_time_is_read_or_refused(value: str) -> None:
    message = incoming(f"X-Posthouse-Send-At: {' '.join(value.split())}")
    read_own_headers(message, first_decision(message))


@pytest.mark.parametrize("value", ["", "Grüße", "x" * 256])
def test_an_idempotency_key_is_printable_and_short(value: str) -> None:
    assert "1 to 255 printable characters of ASCII" in refusal(
        f"X-Posthouse-Idempotency-Key: {value}"
    )


def test_one_header_says_it_once() -> None:
    line = "X-Posthouse-Track: opens"
    assert "X-Posthouse-Track: 2 seen, one is allowed" == refusal(line, line)


def test_a_message_that_is_sent_again_has_the_same_digest() -> None:
    """A library makes another date, Message-ID and boundary for each try."""
    key = "X-Posthouse-Idempotency-Key: order-17"
    first = ("Subject: hi", key, "Date: 1 Jul 2026 12:00 +0000", "Message-ID: <1@a>")
    again = ("Subject: hi", key, 'Content-Type: a/b; boundary="2"', "Message-ID: <2@a>")
    found = decide(*first).terms.key
    assert found is not None
    assert ("order-17", digest(incoming(*again))) == (found.text, found.digest)
    assert found.digest != digest(incoming("Subject: ho", key))
    assert found.digest != digest(incoming(*first)._replace(recipients=("bo@there.example",)))
    assert found.digest != digest(incoming(*first)._replace(sender="bo@a.example"))
