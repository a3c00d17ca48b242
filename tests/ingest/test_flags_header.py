"""Flags as the bits of a number (RULES M17 to M20)."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.admission import admit
from ingest.core.refusals import Refusal
from posthouse.mail.message_flag import Stream
from posthouse.mail.submission import Attributes
from servers.admitting import admitted, facts_for, incoming, refused

FACTS = facts_for("maxemail")
HEADER = "From: jo@a.example\nTo: al@there.example\n"
WORDS = ("open_tracking", "click_tracking", "check_unsubscribes", "check_bounces")


def attributes(*values: str, preset: str = "maxemail", **knobs: object) -> Attributes:
    """What is decided about a message with these X-Mxm-Flags."""
    fields = "".join(f"X-Mxm-Flags: {value}\n" for value in values)
    return admitted(incoming(HEADER + fields, facts_for(preset, **knobs))).attributes


@pytest.mark.parametrize(
    ("value", "on"),
    [
        ("0", {"check_bounces"}),
        ("1", {"open_tracking", "check_bounces"}),
        ("2", {"click_tracking", "check_bounces"}),
        ("3", {"open_tracking", "click_tracking", "check_bounces"}),  # the page's example
        ("4", {"check_unsubscribes", "check_bounces"}),
        ("8", set()),
        (" 015 ", {"open_tracking", "click_tracking", "check_unsubscribes"}),
    ],
)
def test_M17_each_bit_is_a_flag(value: str, on: set[str]) -> None:
    assert {word: word in on for word in WORDS} == attributes(value).flags


def test_M18_of_several_the_first_counts() -> None:
    assert attributes("1").flags == attributes("1", "8", "not read").flags


def test_M19_without_the_header_the_profile_decides() -> None:
    assert {} == attributes().flags


SPACE = Stream("letters", "letters", {"open_tracking": True, "click_tracking": True})
OF_SENDER = {"open_tracking": False, "check_bounces": False}


@pytest.mark.parametrize(
    ("stream", "senders", "header", "flags"),
    [
        ("", {}, "", {}),
        ("letters", {}, "", SPACE.flags),
        ("letters", {"jo@a.example": OF_SENDER}, "", {**SPACE.flags, **OF_SENDER}),
        ("letters", {"al@a.example": OF_SENDER}, "", SPACE.flags),
        (
            "letters",
            {"jo@a.example": OF_SENDER},
            "X-Mxm-Flags: 1\n",
            dict(zip(WORDS, (True, False, False, True), strict=True)),
        ),
    ],
)
def test_M19_the_header_wins_over_the_address_the_address_over_the_stream(
    stream: str, senders: dict[str, dict[str, bool]], header: str, flags: dict[str, bool]
) -> None:
    facts = facts_for(
        "maxemail",
        control__default_stream=stream,
        streams={"letters": SPACE},
        sender_flags=senders,
    )
    message = incoming(HEADER.replace("jo@", "other@") + header, facts, "Jo@A.example")
    assert flags == admitted(message).attributes.flags


def test_M19_flags_of_an_address_are_those_of_the_address_that_recipients_see() -> None:
    facts = facts_for("native", sender_flags={"jo@a.example": OF_SENDER})
    seen = admitted(incoming(HEADER, facts, "al@a.example")).attributes.flags
    other = admitted(incoming(HEADER.replace("jo@", "al@"), facts)).attributes.flags
    assert (OF_SENDER, {}) == (seen, other)


@pytest.mark.parametrize(
    "value", ["", "-1", "1.5", "0x3", "3 4", "three", "+3", "٣", "\N{SUPERSCRIPT TWO}", "9" * 101]
)
def test_M20_what_is_no_whole_number_from_0_is_refused(value: str) -> None:
    reply = refused(incoming(HEADER + f"X-Mxm-Flags: {value}\n", FACTS))
    assert reply.startswith("550 5.6.0 X-Mxm-Flags: '")
    assert reply.endswith("' is not a whole number from 0")


def test_M20_unknown_bits_are_ignored_and_noted() -> None:
    found = attributes("19")
    assert attributes("3").flags == found.flags
    assert ("X-Mxm-Flags: bits from 16 on mean nothing",) == found.notes
    assert () == attributes("15").notes


@pytest.mark.parametrize("preset", ["native", "critsend", "mailup", "mailtarget"])
def test_X10_a_profile_obeys_no_flags_of_another(preset: str) -> None:
    """A6 rule 2: X-Mxm-Flags: 8 bypasses nothing there."""
    message = HEADER + "Subject: x\nX-Mxm-Flags: 8\n"
    assert {} == admitted(incoming(message, facts_for(preset))).attributes.flags


def test_X19_an_account_may_forbid_that_messages_pass_by_its_lists() -> None:
    """What is set for a stream or an address is the account's own word, and counts."""
    knobs: dict[str, Any] = {
        "suppression__override_allowed": False,
        "control__default_stream": "news",
    }
    facts = facts_for("maxemail", **knobs)
    news = Stream("news", "n", {"check_unsubscribes": False})
    facts = replace(facts, streams={"news": news})
    found = admitted(incoming(HEADER + "X-Mxm-Flags: 12\n", facts)).attributes
    tracked = {"open_tracking": False, "click_tracking": False}
    assert {**tracked, "check_unsubscribes": False} == found.flags


def test_X08_an_account_may_forbid_that_messages_decide_about_tracking() -> None:
    found = attributes("3", tracking__header_overrides=False)
    assert {"check_unsubscribes": False, "check_bounces": True} == found.flags


@given(st.text(max_size=30))
def test_M20_any_value_is_read_or_refused(value: str) -> None:
    line = value.replace("\r", "").replace("\n", "")
    message = incoming(HEADER.encode() + b"X-Mxm-Flags: " + line.encode() + b"\n", FACTS)
    result = admit(message)
    if isinstance(result, Refusal):
        assert str(result.reply).isascii()
        assert "\n" not in str(result.reply)
