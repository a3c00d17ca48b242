"""Recipients in the arrays cc, bcc and archive of the attributes (RULES T12 to T16)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.admission import Admission, admit
from ingest.core.refusals import Refusal
from posthouse.mail.mailbox import address_list
from posthouse.mail.message import field
from servers.admitting import admitted, facts_for, incoming, refused

FACTS = facts_for("mailtarget")
HEADER = "From: jo@a.example\nTo: al@there.example\n"


def decided(options: dict[str, Any], header: str = HEADER, *recipients: str) -> Admission:
    text = f"{header}X-MT-ATTR: {json.dumps(options)}\n"
    to = recipients or ("al@there.example",)
    return admitted(incoming(text, FACTS, recipients=to))


def reply(options: dict[str, Any], header: str = HEADER) -> str:
    return refused(incoming(f"{header}X-MT-ATTR: {json.dumps(options)}\n", FACTS))


def test_T12_each_address_of_each_array_gets_a_copy() -> None:
    found = decided(
        {"cc": ["b@x.example"], "bcc": ["c@x.example"], "archive": [{"email": "d@x.example"}]}
    )
    assert ("al@there.example", "b@x.example", "c@x.example", "d@x.example") == found.recipients
    kinds = {"b@x.example": "cc", "c@x.example": "bcc", "d@x.example": "archive"}
    assert kinds == found.attributes.kinds


def test_T16_who_is_named_several_times_gets_one_copy() -> None:
    """To before cc before bcc before archive; the case of letters makes no other mailbox."""
    found = decided(
        {
            "archive": ["D@x.example", "c@x.example", "b@x.example", "al@there.example"],
            "bcc": ["c@X.example", "B@x.example", "c@x.example", "AL@there.example"],
            "cc": ["b@x.example", "al@there.example", "b@X.example"],
        }
    )
    assert ("al@there.example", "b@x.example", "c@x.example", "D@x.example") == found.recipients
    kinds = {"b@x.example": "cc", "c@x.example": "bcc", "D@x.example": "archive"}
    assert kinds == found.attributes.kinds


def test_T14_every_address_of_cc_is_shown_also_of_one_who_is_in_to() -> None:
    found = decided({"cc": ["b@x.example", "al@there.example", "B@x.example"]})
    assert {"Cc": "b@x.example, al@there.example"} == found.attributes.shown


def test_T14_a_cc_that_the_message_has_stays_and_is_completed() -> None:
    header = HEADER + 'Cc: "Doe, Jo" <z@x.example>, b@x.example\nCc: y@x.example\n'
    found = decided({"cc": ["b@x.example", {"email": "c@x.example", "name": "Cee"}]}, header)
    expected = '"Doe, Jo" <z@x.example>, b@x.example, y@x.example, Cee <c@x.example>'
    assert {"Cc": expected} == found.attributes.shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("", "b@x.example"),
        ("Jo Doe", "Jo Doe <b@x.example>"),
        ("Doe, Jo", '"Doe, Jo" <b@x.example>'),
        ('the "real" Jo\\', '"the \\"real\\" Jo\\\\" <b@x.example>'),
        ("Jö", "=?utf-8?b?SsO2?= <b@x.example>"),
        ("=?utf-8?b?SsO2?=", "=?utf-8?b?SsO2?= <b@x.example>"),
        ("Jo\r\nBcc: v@x.example", '"Jo Bcc: v@x.example" <b@x.example>'),
        ("  Jo\u2028 Doe ", "Jo Doe <b@x.example>"),
    ],
)
def test_T16_a_name_makes_a_friendly_header(name: str, shown: str) -> None:
    entry = {"email": "b@x.example", "name": name}
    assert {"Cc": shown} == decided({"cc": [entry]}).attributes.shown
    names = decided({"bcc": [entry]}).attributes.bcc_shown
    assert ({} if shown == "b@x.example" else {"b@x.example": shown}) == names


@given(st.lists(st.text(max_size=80), min_size=1, max_size=4))
def test_T16_a_name_is_read_again_as_it_was_given(names: list[str]) -> None:
    """Whatever it holds, it names no other address and ends no line."""
    entries = [{"email": f"n{at}@x.example", "name": name} for at, name in enumerate(names)]
    message = incoming(f"{HEADER}X-MT-ATTR: {json.dumps({'cc': entries})}\n", FACTS)
    result = admit(message)
    if isinstance(result, Refusal):
        assert not all(name.isprintable() for name in names)
        return
    text = result.attributes.shown["Cc"]
    assert text.isascii()
    assert text.isprintable()
    found = address_list(field("Cc", text).value)
    assert [entry["email"] for entry in entries] == [str(one.address) for one in found]
    for given_name, one in zip(names, found, strict=True):
        if "=?" not in given_name and given_name.isprintable():
            assert " ".join(given_name.split()) == one.name


def test_T16_an_international_domain_is_shown_as_every_server_can_take_it() -> None:
    found = decided({"cc": ["b@bücher.example"]})
    assert {"Cc": "b@xn--bcher-kva.example"} == found.attributes.shown
    assert "b@bücher.example" in found.recipients


def test_T16_a_thousand_recipients_at_most_over_the_three_arrays() -> None:
    def some(count: int) -> dict[str, list[str]]:
        addresses = [f"n{n}@x.example" for n in range(count)]
        return {"cc": addresses[:400], "bcc": addresses[400:700], "archive": addresses[700:]}

    assert 1_001 == len(decided(some(1_000)).recipients)
    assert reply(some(1_001)) == (
        "550 5.6.0 X-MT-ATTR 'cc', 'bcc' and 'archive' name 1001 recipients: 1000 are allowed"
    )


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"email": "b@x.example", "name": 3}, "has a name that is not a string of at most 255"),
        ({"email": "b@x.example", "name": "x" * 256}, "has a name that is not a string of at"),
        ({"email": "b@x.example", "name": "a\x01b"}, "holds a control character: 'a\\x01b'"),
        ({"email": "b@x.example\r\nX: y"}, "holds what is no address: 'b@x.example\\r\\nX: y'"),
        ("jö@x.example", "holds 'j\\xf6@x.example', which is not in ASCII before the @"),
        ({"email": None}, "must be a json array of strings and"),
        (7, "must be a json array of strings and"),
    ],
)
def test_T20_an_entry_that_is_none_is_refused(entry: object, text: str) -> None:
    assert f"550 5.6.0 X-MT-ATTR 'archive' {text}" in reply({"archive": [entry]})


def test_T14_a_cc_that_cannot_be_read_is_refused_where_it_is_to_be_completed() -> None:
    header = HEADER + "Cc: <b@x.example\n"
    assert reply({"cc": ["b@x.example"]}, header).startswith("550 5.6.0 The Cc header cannot be ")
    word = HEADER + f"Cc: {'x' * 1_000} <b@x.example>\n"
    assert reply({"cc": ["c@x.example"]}, word).startswith("550 5.6.0 The Cc header cannot be ")
    assert {} == decided({"bcc": ["b@x.example"]}, header).attributes.shown


def test_X06_arrays_count_only_where_the_profile_says_so() -> None:
    facts = facts_for("mailtarget", recipients__policy="rfc")
    found = admitted(incoming(HEADER + 'X-MT-ATTR: {"cc": ["b@x.example"]}\n', facts))
    assert ("al@there.example",) == found.recipients
    assert ("X-MT-ATTR: ignored: 'cc', 'bcc' and 'archive'",) == found.attributes.notes


@pytest.mark.parametrize(
    ("policy", "recipients", "discarded"),
    [
        ("rfc", ("a@x.example", "b@x.example", "c@x.example"), ()),
        ("first_to_and_one_bcc", ("a@x.example", "b@x.example"), (("c@x.example", "M13"),)),
        ("single_strict", None, ()),
        ("attribute_arrays", ("a@x.example", "b@x.example", "c@x.example", "d@x.example"), ()),
    ],
)
def test_X06_who_gets_a_copy_is_one_knob_and_what_is_discarded_is_kept(
    policy: str, recipients: tuple[str, ...] | None, discarded: tuple[tuple[str, str], ...]
) -> None:
    """The timeline tells of what is discarded, with the rule."""
    changed = {} if policy == "attribute_arrays" else {"control__attributes.name": "X-None"}
    facts = facts_for("mailtarget", recipients__policy=policy, **changed)
    header = 'From: jo@a.example\nTo: a@x.example\nX-MT-ATTR: {"cc": ["d@x.example"]}\n'
    to = ("a@x.example", "b@x.example", "c@x.example")
    found = admit(incoming(header, facts, recipients=to))
    if recipients is None:
        assert isinstance(found, Refusal)
        assert found.reply.text.startswith("RCPT TO names 'b@x.example', and To 'a@x.example'")
        return
    assert not isinstance(found, Refusal)
    assert recipients == found.recipients
    assert discarded == tuple((one.address, one.rule) for one in found.attributes.discarded)
