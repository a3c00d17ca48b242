"""Tags, read by the knobs of a profile (RULES X09, X10)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.admission import SessionFacts
from servers.admitting import admitted, facts_for, incoming, refused

FROM = "From: jo@a.example\nTo: al@there.example\n"
CRITSEND = facts_for("critsend")


def tagged(**knobs: Any) -> SessionFacts:
    """A profile that has tags of any text."""
    return facts_for(
        "native",
        **{"tags__header.name": "X-Mxm-Tag", "tags__header.multiplicity": "append"},
        tags__charset="any",
        **knobs,
    )


def tags(fields: str, facts: SessionFacts = CRITSEND) -> tuple[str, ...]:
    subject = "" if "Subject:" in fields else "Subject: Hi\n"
    return admitted(incoming(FROM + subject + fields, facts)).attributes.tags


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ("X-tag: invite1", ("invite1",)),
        ("x-TAG: Invite-1", ("Invite-1",)),
        ("X-tag: a, b,,  c ,a", ("a", "b", "c")),
        ("X-tag: a\nX-tag: b, a", ("a", "b")),
        ("X-tag: a,\n b", ("a", "b")),
        ("X-tag: invite_1, ok", ("ok",)),
        ("X-tag: gr\u00fc\u00dfe, ok", ("ok",)),
        (f"X-tag: {'x' * 64}", ("x" * 64,)),
        (f"X-tag: {'x' * 65}", ("default",)),
        ("X-tag: , ,", ("default",)),
        ("", ("default",)),
        ("X-Mxm-Tag: a", ("default",)),  # the header of another profile
    ],
)
def test_C20_C23_tags_of_the_header(fields: str, found: tuple[str, ...]) -> None:
    assert found == tags(fields)


def test_C20_a_tag_outside_the_grammar_is_left_out_with_a_note() -> None:
    decided = admitted(incoming(f"{FROM}Subject: Hi\nX-Tag: a b, {'x' * 65}", CRITSEND))
    assert decided.attributes.notes == (
        "left out a tag: 'a b' seen, a tag has letters, digits and hyphens of ASCII",
        f"left out a tag: '{'x' * 60}...' seen, a tag has up to 64 printable characters",
    )


def test_notes_of_thousands_of_bad_tags_are_few() -> None:
    given = ",".join(f"t_{n}" for n in range(5_000))
    notes = admitted(incoming(f"{FROM}Subject: Hi\nX-Tag: {given}", CRITSEND)).attributes.notes
    assert 6 == len(notes)
    assert "left out a tag: 4995 more" == notes[-1]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ("Subject: [tag: a, b] Text", ("a", "b")),
        ("Subject: [tag: a, b] Text\nX-Tag: c, a", ("c", "a", "b")),
        ("Subject: =?utf-8?q?[tag:_a]_Gr=C3=BC=C3=9Fe?=", ("a",)),
        ("Subject: [tag:] Text", ("default",)),
        ("Subject: Text [tag: a]", ("default",)),
    ],
)
def test_C24_tags_of_the_subject(fields: str, found: tuple[str, ...]) -> None:
    assert found == tags(fields)
    assert tags(fields, facts_for("native")) == ()


def test_C24_subject_and_tags_have_245_characters_at_most() -> None:
    front = "[tag: a] "
    assert tags(f"Subject: {front}{'x' * (245 - len(front))}") == ("a",)
    long = f"Subject: {front}{'x' * (246 - len(front))}"
    assert refused(incoming(FROM + long, CRITSEND)) == (
        "550 5.6.0 The Subject with its tags has 246 characters, 245 are allowed"
    )
    encoded = "=?utf-8?q?" + "=C3=BC" * 40 + "?="
    assert tags(f"Subject: {encoded}\n {encoded}\n {encoded}")  # 120 characters in 780 octets


def test_the_traffic_source_is_the_first_tag_or_email() -> None:
    def source(fields: str, facts: SessionFacts = CRITSEND) -> str:
        message = incoming(f"{FROM}Subject: Hi\n{fields}", facts)
        return admitted(message).attributes.traffic_source

    assert source("X-tag: invite1") == "invite1"
    assert source("X-tag: invite1, b") == "invite1"
    assert source("") == "email"
    assert source("X-tag: a", facts_for("critsend", tracking__traffic_source="")) == ""
    assert source("X-Mxm-Tag: a", tagged()) == ""


def test_M21_several_headers_are_appended_and_text_is_free() -> None:
    one = tags("X-Mxm-Tag: order, confirmation , guest", tagged())
    three = tags("X-Mxm-Tag: order\nX-Mxm-Tag: confirmation\nX-Mxm-Tag: guest", tagged())
    assert one == three == ("order", "confirmation", "guest")
    assert tags("X-Mxm-Tag: Order no. 5!,,=?utf-8?q?Gr=C3=BC=C3=9Fe?=", tagged()) == (
        "Order no. 5!",
        "Grüße",
    )


@pytest.mark.parametrize(("given_", "found"), [("first", ("a",)), ("append", ("a", "b"))])
def test_X10_what_several_tag_headers_mean_is_a_knob(given_: str, found: tuple[str, ...]) -> None:
    twice = "X-Mxm-Tag: a\nX-Mxm-Tag: b"
    facts = facts_for(
        "native", **{"tags__header.name": "X-Mxm-Tag", "tags__header.multiplicity": given_}
    )
    assert found == tags(twice, facts)
    facts = facts_for("native", **{"tags__header.name": "X-Mxm-Tag"})
    assert refused(incoming(FROM + twice, facts)) == (
        "550 5.6.0 The message has more than one X-Mxm-Tag header"
    )


def test_T21_no_more_tags_than_are_allowed() -> None:
    many = f"X-Mxm-Tag: {','.join(f't{n}' for n in range(11))}"
    assert len(tags(many, tagged(tags__on_invalid="drop"))) == 10
    assert refused(incoming(FROM + many, tagged())) == (
        "550 5.6.0 X-Mxm-Tag: 't10' seen, at most 10 tags are allowed"
    )
    assert len(tags(f"{many[: many.rindex(',')]},t1", tagged())) == 10


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_X09_no_tag_holds_what_could_end_a_line(value: str) -> None:
    facts = tagged(tags__on_invalid="drop", tags__from_subject=True)
    for fields in (f"X-Mxm-Tag: {value}", f"Subject: [tag:{value}] x"):
        for tag in tags(" ".join(fields.split("\r")).replace("\n", "\r\n "), facts):
            assert tag.isprintable()
            assert tag == tag.strip()
            assert "," not in tag
            assert 0 < len(tag) <= 64


@pytest.mark.parametrize(
    ("knobs", "found"),
    [
        ({}, ("a b", "c-1", "d" * 64)),
        ({"tags__charset": "letters_digits_hyphen"}, ("c-1", "d" * 64)),
        ({"tags__max_count": 2}, ("a b", "c-1")),
        ({"tags__max_characters": 3}, ("a b", "c-1")),
        ({"tags__max_characters": 2, "tags__default": "none"}, ("none",)),
        ({"tags__header.name": "X-Other"}, ()),
    ],
)
def test_X09_the_grammar_of_tags_is_made_of_knobs(
    knobs: dict[str, Any], found: tuple[str, ...]
) -> None:
    given = f"X-Mxm-Tag: a b, c-1, {'d' * 64}"
    grammar = {
        "tags__header.name": "X-Mxm-Tag",
        "tags__header.multiplicity": "append",
        "tags__charset": "any",
        "tags__on_invalid": "drop",
    }
    assert found == tags(given, facts_for("native", **{**grammar, **knobs}))


def test_X09_a_tag_that_is_none_is_left_out_or_refused() -> None:
    message = f"{FROM}Subject: x\nX-Mxm-Tag: {'d' * 65}"
    assert () == tags(f"X-Mxm-Tag: {'d' * 65}", tagged(tags__on_invalid="drop"))
    assert refused(incoming(message, tagged(tags__on_invalid="reject"))).startswith("550 5.6.0 ")
