"""No set of knobs makes a rule or a step fail, and none of them lets a message break its header."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import count
from typing import Any
from uuid import UUID

from hypothesis import event, given, settings
from hypothesis import strategies as st

from ingest.core.admission import Admission, Incoming, admit
from ingest.core.rules import Client, rules_for, submission
from policy.core.decision import Plan, decide
from policy.core.facts import DomainKeys, Facts, Relay
from policy.core.request import read
from posthouse.mail.lane import Lane
from posthouse.mail.message import Header, has_bare_line_end
from posthouse.profiles import (
    InvalidOverride,
    Profile,
    knob_values,
    preset_names,
    resolve,
    with_knobs,
)
from servers import admitting

RELAY = Relay("relay.example", DomainKeys("relay.example", None, ()), b"k" * 32, b"i" * 32)
NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
TEXTS = ["", "x", "X-Control", "X-tag", "a@a.example", "a.example", "Fürs", "{id}", "x" * 70]
NUMBERS = [0, 1, 3, 30, 100, 1_000_000]
LISTS: list[list[str]] = [
    [],
    ["Subject"],
    ["X-Mxm-Flags", "Cc"],
    ["a.example", "b.example"],
    ["jo@a.example"],
    ["192.0.2.0/24"],
]


def candidates(value: object) -> st.SearchStrategy[Any]:
    """Values for a knob that has *value* in a preset; not all of them can be had."""
    match value:
        case bool():
            return st.booleans()
        case Lane():
            return st.sampled_from([lane.label for lane in Lane])
        case StrEnum():
            return st.sampled_from([str(each) for each in type(value)])
        case int() | None:
            return st.sampled_from([*NUMBERS, None])
        case tuple():
            return st.sampled_from(LISTS)
        case _:
            return st.sampled_from(TEXTS)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """A preset with some of its knobs changed, contradictions and all."""
    name = draw(st.sampled_from(preset_names()))
    values = knob_values(resolve(name))
    changed = {
        knob: draw(candidates(values[knob]))
        for knob in draw(st.lists(st.sampled_from(list(values)), max_size=6, unique=True))
    }
    profile = resolve(name)
    for knob, value in changed.items():
        with suppress(InvalidOverride):
            profile = with_knobs(profile, {knob: value})
    return profile


NAMES = [
    *("From", "To", "Cc", "Bcc", "Subject", "Sender", "Reply-To", "Date", "Message-ID"),
    *("X-Priority", "Importance", "Received", "MIME-Version", "Content-Type", "Return-Path"),
    *("X-Tag", "X-Mxm-Flags", "X-Mxm-Tag", "X-MT-ATTR", "X-SMTPAPI", "X-bm-mailing", "X-Control"),
    *("X-Posthouse-Tag", "X-Posthouse-Metadata", "X-Posthouse-Stream", "X-Posthouse-Send-At"),
]
VALUES = """\
jo@a.example
Jo Doe <jo@a.example>
"Doe, J." <jo@a.example>
=?utf-8?q?J=C3=BC?= <jo@a.example>
al@there.example, Bo <bo@there.example>
friends: al@there.example;
undisclosed:;
<>
[tag: a, b] Hello
Grüße
=?x-none?b?!!?=
3
15
-1
high
a,b, ,c
1 (Highest)
{"cc": ["cy@there.example", {"email": "al@there.example", "name": "A\\r\\nX: y"}]}
{"bcc": ["d@e.example"], "archive": ["f@e.example"]}
{"optionsAttributes": {"openTracking": true}}
{"CampaignCode": "c"}
{
[]
null
{"cc": 3}
<a@a.example>
Mon, 1 Jan 2026 10:00:00 +0000
2026-03-02T10:00:00Z
\udcff\udcfe
""".splitlines()
VALUES += ["", "a\r\n b", "x" * 900]
USUAL = [
    ("From", "Jo <jo@a.example>"),
    ("To", "al@there.example"),
    ("Subject", "Hello"),
    ("Message-ID", "<1@a.example>"),
]
FIELDS = st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES))
HEADERS = st.lists(FIELDS, max_size=8)


def octets(fields: list[tuple[str, str]]) -> bytes:
    lines = [f"{name}: {value}\r\n".encode("utf-8", "surrogateescape") for name, value in fields]
    return b"".join(lines) + b"\r\n"


def incoming(profile: Profile, header: bytes, recipients: tuple[str, ...]) -> Incoming:
    facts = replace(admitting.facts_for("native"), profile=profile, rules=rules_for(profile))
    at = NOW.timestamp()
    return admitting.incoming(header, facts, "jo@a.example", recipients, arrived_at=at)


@settings(max_examples=400)
@given(
    profiles(),
    HEADERS,
    st.lists(
        st.sampled_from(["al@there.example", "bo@there.example", "cy@there.example"]),
        min_size=1,
        max_size=3,
        unique=True,
    ),
)
def test_no_set_of_knobs_fails_and_no_header_breaks(
    profile: Profile, fields: list[tuple[str, str]], recipients: list[str]
) -> None:
    given_names = {name for name, _ in fields}
    header = octets([*(f for f in USUAL if f[0] not in given_names), *fields])
    message = incoming(profile, header, tuple(recipients))
    decided = admit(message)
    if not isinstance(decided, Admission):
        event(f"refused: {decided.reply.text[:30]}")
        assert decided.reply.code in (550, 552, 554)
        assert str(decided.reply).isprintable()
        return
    client = Client("192.0.2.1", "client.example", "")
    stored = submission(message, decided, b"Hello\r\n", client, UUID(int=7 << 80))
    assert len(set(stored.recipients)) == len(stored.recipients)
    request = read(stored, profile)
    owned = {name: DomainKeys(name, name, ()) for name in request.from_domains}
    result = decide(request, Facts(RELAY, owned, {}), NOW, (UUID(int=n) for n in count(1)))
    event(type(result).__name__)
    if isinstance(result, Plan):
        assert sorted(d.recipient for d in result.deliveries) == sorted(stored.recipients)
        for copy in result.renditions:
            unbroken(copy.header, message.head.header)


def unbroken(after: Header, before: Header) -> None:
    """It reads as it was written, and holds no field that nobody wrote."""
    assert Header.parse(bytes(after)) == after
    assert not has_bare_line_end(bytes(after))
    assert all(field.name for field in after.fields)
    names = {field.name for field in before.fields}
    ours = {b"received", b"date", b"message-id", b"sender", b"cc", b"bcc", b"subject"}
    ours |= {b"x-posthouse-id", b"x-priority", b"importance", b"x-msmail-priority", b"priority"}
    ours |= {b"from", b"x-original-date", b"x-original-message-id"}
    assert {field.name for field in after.fields} <= names | ours
