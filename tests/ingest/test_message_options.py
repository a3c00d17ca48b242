"""Options of a message as JSON in its header (RULES T09, T10, T18, T20 to T23)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.admission import Incoming, admit
from ingest.core.refusals import Refusal
from posthouse.mail.submission import Attributes
from servers.admitting import admitted, facts_for, incoming, refused

FACTS = facts_for("mailtarget")
HEADER = "From: jo@a.example\nTo: al@there.example\n"
BROKEN = "550 5.6.0 JSON parsing error in X-MT-ATTR"


def message(*values: str, **knobs: Any) -> Incoming:
    """A message with these headers."""
    fields = "".join(f"X-MT-ATTR: {value}\n" for value in values)
    return incoming(HEADER + fields, facts_for("mailtarget", **knobs) if knobs else FACTS)


def attributes(value: object, **knobs: Any) -> Attributes:
    text = value if isinstance(value, str) else json.dumps(value)
    return admitted(message(text, **knobs)).attributes


def reply(value: object) -> str:
    return refused(message(value if isinstance(value, str) else json.dumps(value)))


def test_the_example_of_the_page_is_kept() -> None:
    found = attributes('{ "optionsAttributes" : { "openTracking" : true,"clickTracking" : true }}')
    assert {"open_tracking": True, "click_tracking": True} == found.flags


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({"openTracking": True}, {"open_tracking": True}),
        ({"clickTracking": False}, {"click_tracking": False}),
        ({"open_tracking": False, "click_tracking": True},) * 2,
        ({}, {}),
    ],
)
def test_each_is_kept_on_its_own(options: dict[str, bool], flags: dict[str, bool]) -> None:
    assert flags == attributes({"optionsAttributes": options}).flags
    assert flags == attributes({"options": options}).flags


def test_T08_tracking_is_off_unless_something_turns_it_on() -> None:
    assert (False, False) == (FACTS.profile.tracking.opens, FACTS.profile.tracking.clicks)
    assert {} == admitted(message()).attributes.flags


def test_an_account_may_turn_tracking_on_and_the_header_wins() -> None:
    on = facts_for("mailtarget", tracking__opens=True, tracking__clicks=True)
    assert (True, True) == (on.profile.tracking.opens, on.profile.tracking.clicks)
    off = '{"optionsAttributes": {"openTracking": false}}'
    assert {"open_tracking": False} == attributes(off, tracking__opens=True).flags


@pytest.mark.parametrize(
    ("value", "details"),
    [
        ("", "Expecting value at character 1"),
        ("{", "Expecting property name enclosed in double quotes at character 2"),
        ("{'a': 1}", "Expecting property name enclosed in double quotes at character 2"),
        ('{"tags": [}', "Expecting value at character 11"),
        ('{"a": 1} {"b": 2}', "Extra data at character 10"),
        ("[]", "it must be of type 'json object'"),
        ('"text"', "it must be of type 'json object'"),
        ('{"cc": [], "cc": []}', "'cc' is given twice"),
        ('{"metadata": {"a": 1, "a": 2}}', "'a' is given twice"),
        ('{"metadata": {"a": NaN}}', "NaN is no JSON"),
        ('{"metadata": {"a": 1e999}}', "a number is larger than any number may be"),
        (
            '{"metadata": {"a": "\\u0000"}}',
            "'\\x00' holds a NUL or half of a surrogate pair",
        ),
        (
            '{"metadata": {"\\ud800": 1}}',
            "'\\ud800' holds a NUL or half of a surrogate pair",
        ),
        ("[" * 2_000, "arrays and objects may be within each other 32 times"),
        (
            '{"metadata": ' + '{"a": ' * 40 + "1" + "}" * 41,
            "arrays and objects may be within each other 32 times",
        ),
    ],
)
def test_T18_broken_json_is_refused_with_details(value: str, details: str) -> None:
    assert f"{BROKEN}: {details}" == reply(value)


def test_X10_more_than_one_is_refused() -> None:
    assert "550 5.6.0 X-MT-ATTR: 2 seen, one is allowed" == refused(message("{}", "{}"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"metadata": []}, "X-MT-ATTR 'metadata' must be of type 'json object'"),
        ({"tags": "a"}, "X-MT-ATTR 'tags' must be of type 'json array'"),
        ({"tags": [1]}, "X-MT-ATTR 'tags' must be a json array of strings"),
        ({"campaign_id": 7}, "X-MT-ATTR 'campaign_id' must be of type 'json string'"),
        (
            {"optionsAttributes": {"openTracking": "true"}},
            "X-MT-ATTR 'openTracking' must be of type 'json boolean'",
        ),
        ({"options": []}, "X-MT-ATTR 'options' must be of type 'json object'"),
        ({"campaign_id": "x" * 65}, "smtpapi_campaign_id context is limited to 64 bytes"),
        ({"campaign_id": "ü" * 33}, "smtpapi_campaign_id context is limited to 64 bytes"),
        ({"cc": "b@x.example"}, "X-MT-ATTR 'cc' must be of type 'json array'"),
        (
            {"cc": [{"mail": "b@x.example"}]},
            'X-MT-ATTR \'cc\' must be a json array of strings and {"email", "name"}',
        ),
        (
            {"bcc": ["nobody"]},
            "X-MT-ATTR 'bcc' holds what is no address: 'nobody' is not a mail address: it has no @",
        ),
        (
            {"options": {"open_tracking": True, "openTracking": True}},
            "X-MT-ATTR 'openTracking' is given twice",
        ),
    ],
)
def test_T20_the_texts_say_what_is_allowed(value: object, text: str) -> None:
    assert f"550 5.6.0 {text}" == reply(value)


def test_T21_every_field_has_its_place() -> None:
    found = attributes(
        {
            "campaign_id": "x" * 64,
            "metadata": {"order": 17, "deep": {"list": [None, 1.5, "ü"]}},
            "tags": [str(n) for n in range(10)],
            "substitution_data": {"name": "Jo"},
            "options": {
                "transactional": True,
                "inline_css": False,
                "ip_pool": "shared",
                "dkim_key": "s1",
                "sandbox": True,
            },
        }
    )
    assert "x" * 64 == found.campaign
    assert {"order": 17, "deep": {"list": [None, 1.5, "ü"]}} == found.metadata
    assert tuple("0123456789") == found.tags
    assert {"transactional": True, "inline_css": False} == found.flags
    assert {"ip_pool": "shared", "dkim_key": "s1"} == found.choices
    assert ("X-MT-ATTR: ignored: 'substitution_data', 'sandbox'",) == found.notes
    assert found == Attributes.from_json(json.loads(json.dumps(found.as_json())))


def test_T21_skip_suppression_skips_no_complaints() -> None:
    skipped = attributes({"options": {"skip_suppression": True}}).flags
    assert {"check_bounces": False, "check_unsubscribes": False} == skipped
    checked = attributes({"options": {"skip_suppression": False}}).flags
    assert {"check_bounces": True, "check_unsubscribes": True} == checked


def test_T21_a_message_has_ten_tags_at_most() -> None:
    seen = reply({"tags": [str(n) for n in range(11)]})
    assert "550 5.6.0 X-MT-ATTR 'tags': '10' seen, at most 10 tags are allowed" == seen


def test_T21_an_account_may_drop_tags_instead() -> None:
    found = attributes({"tags": ["a", "b"]}, tags__max_count=1, tags__on_invalid="drop")
    assert ("a",) == found.tags
    assert ("X-MT-ATTR: ignored: the tag 'b' seen, at most 1 tags are allowed",) == found.notes


@pytest.mark.parametrize("fold", ["\n ", "\n\t", "\n   \t "])
def test_T22_lines_unfold_with_a_single_space(fold: str) -> None:
    """A value that is divided within a word gains a space."""
    assert "sum mer" == attributes(f'{{"campaign_id":{fold}"sum{fold}mer"}}').campaign


@pytest.mark.parametrize(
    "written", ["S\\u00fcden", "=?utf-8?q?S=C3=BCden?=", "=?iso-8859-1?b?U/xkZW4=?="]
)
def test_T23_text_outside_of_ascii_is_escaped_or_in_encoded_words(written: str) -> None:
    found = attributes(
        f'{{"campaign_id": "{written}", "tags": ["{written}"], "metadata": {{"a": ["{written}"]}}}}'
    )
    assert ("Süden", ("Süden",), {"a": ["Süden"]}) == (
        found.campaign,
        found.tags,
        dict(found.metadata),
    )


def test_T23_the_whole_value_may_be_encoded_words() -> None:
    assert "Süd" == attributes('=?utf-8?q?{"campaign=5Fid":?=\n =?utf-8?q?"S=C3=BCd"}?=').campaign


def test_T23_octets_above_127_are_refused() -> None:
    assert reply('{"campaign_id": "Süd"}') == (
        f"{BROKEN}: octet 0xc3 at character 19 is not ASCII:"
        " write the character as \\u and four digits, or in an encoded word"
    )


@pytest.mark.parametrize("preset", ["native", "critsend", "maxemail", "mailup"])
def test_X10_a_profile_obeys_no_attributes_of_another(preset: str) -> None:
    header = HEADER + 'Subject: x\nX-MT-ATTR: {"cc": ["b@x.example"], "campaign_id": "c"}\n'
    decided = admitted(incoming(header, facts_for(preset)))
    assert (("al@there.example",), "") == (decided.recipients, decided.attributes.campaign)


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
NAMES = st.sampled_from(
    ["cc", "bcc", "archive", "tags", "metadata", "campaign_id", "options", "optionsAttributes"]
)
ENTRIES = st.fixed_dictionaries({"email": st.sampled_from(["b@x.example"]), "name": st.text()})
OBJECTS = st.dictionaries(NAMES, VALUES | st.lists(ENTRIES, max_size=3) | st.lists(st.text()))
TEXTS = OBJECTS.map(json.dumps) | st.text(
    st.sampled_from('{}[]":,\\u0dcctags =?utf-8q\r\n\t'), max_size=60
)


@given(TEXTS)
def test_T18_any_value_is_read_or_refused_and_ends_no_line(text: str) -> None:
    octets = HEADER.encode() + b"X-MT-ATTR: " + text.replace("\n", "\n ").encode() + b"\n"
    result = admit(incoming(octets, FACTS))
    if isinstance(result, Refusal):
        assert str(result.reply).isascii()
        assert str(result.reply).isprintable()
        return
    found = result.attributes
    stored = json.dumps(found.as_json(), allow_nan=False)  # as PostgreSQL takes it
    assert found == Attributes.from_json(json.loads(stored))
    assert "\\u0000" not in stored.replace("\\\\", "")
    for shown in (*found.shown.values(), *found.bcc_shown.values()):
        assert shown.isprintable()
