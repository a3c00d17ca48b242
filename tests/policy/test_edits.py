"""No step of policy corrupts a header, whatever it is: a step says which fields are its own."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from policy.core import (
    framed_copies,
    hidden_fields,
    named_key,
    priority_fields,
    repairs,
    rewritten_author,
    sender_field,
    shown_recipients,
    suppressed,
    trace_field,
    tracked_copies,
    unsubscribe_fields,
)
from policy.core.draft import Draft, Rejection, Step
from policy.core.facts import DomainKeys, Facts, Relay, TrackingHost
from policy.core.request import read
from policy.core.steps import steps_for
from posthouse.mail.long_lines import has_long_line
from posthouse.mail.message import Field, Header, has_bare_line_end, split
from posthouse.mail.repeated_fields import SINGLE
from posthouse.mail.submission import Attributes, RecipientKind, Submission
from posthouse.profiles import Profile, preset_names, resolve
from posthouse.tracking.token import TokenKey
from servers.stores import a_submission

NOTHING: frozenset[bytes] = frozenset()
ORIGINALS = {b"x-original-date", b"x-original-message-id"}
# The fields that each step may write, change or remove.
OWN: Mapping[Step, frozenset[bytes] | set[bytes]] = {
    hidden_fields.hide_fields: NOTHING,  # by name, see is_touched
    hidden_fields.hide_subject_tags: {b"subject"},
    repairs.drop_copies: SINGLE,
    repairs.repair_date: {b"date", b"x-original-date"},
    repairs.repair_message_id: {b"message-id", b"x-original-message-id"},
    repairs.encode_subject: {b"subject"},
    repairs.encode_header_text: NOTHING,
    repairs.reencode_lines: {b"mime-version", b"content-transfer-encoding"},
    rewritten_author.rewrite_from_envelope: {b"from"},
    sender_field.name_sender: {b"sender"},
    priority_fields.show_lane: {name.lower().encode() for name in priority_fields._FIELDS},
    shown_recipients.show_decided_fields: {b"to", b"cc"},
    shown_recipients.show_own_bcc: {b"bcc"},
    trace_field.add_received: {b"received"},
    suppressed.drop_suppressed: NOTHING,
    named_key.require_named_key: NOTHING,
    unsubscribe_fields.offer_unsubscribe: NOTHING,  # it marks copies: fields come last of all
    framed_copies.frame: {b"mime-version", b"content-transfer-encoding"},
    tracked_copies.track: {b"mime-version", b"content-transfer-encoding"},
}
ALL_ON = {
    "conformance.repeated_fields": "repair",
    "conformance.subject": "repair",
    "conformance.date": "repair",
    "conformance.message_id": "repair",
    "conformance.long_lines": "repair",
    "priority.fields_show_lane": True,
    "tags.from_subject": True,
    "suppression.unsubscribe_fields": True,
}
RELAY = Relay(
    "relay.example",
    DomainKeys("relay.example", None, ()),
    b"k" * 32,
    b"i" * 32,
    TrackingHost("https://t.relay.example", TokenKey(0, b"t" * 32)),
)
FACTS = Facts(RELAY, {"sender.example": DomainKeys("sender.example", None, ())}, {})

NAMES = [
    *("From", "from", "Sender", "To", "Cc", "BCC", "Subject", "Date", "Message-ID", "Received"),
    *("MIME-Version", "Content-Type", "content-transfer-encoding", "X-Priority", "Importance"),
    *("X-Posthouse-Tag", "X-Mxm-Flags", "Return-Path", "X-Other", "x-other", "DKIM-Signature"),
]
VALUES = [
    *("jo@sender.example", "Jo <jo@other.example>", '"Doe, Jö" <jo@sender.example>', "<a@b>", "x"),
    *("[tag: a] Hello", "Grüße", "=?none?q?=FC?=", "1 (Highest)", "Sun, 1 Mar 2026 12:30:00 Z"),
    *("multipart/mixed; boundary=b", "text/html", "base64", "1.0", "", " "),
    *("\r\n folded\r\n\t", "a" * 999),
    *("word " * 300, "(", '"', "<", ",;", "\x7f\x0b", "=?utf-8?q?=0D=0AX:_y?="),
]
BODIES = [
    "",
    "Hello\r\n",
    "not ended",
    "x" * 999,
    "--b\r\n\r\n" + "y" * 1_500 + "\r\n--b--\r\n",
    "\r\n",
]
fields = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from([": ", ":", " : "]),
    st.sampled_from(VALUES),
    st.sampled_from(["utf-8", "latin-1"]),
).map(lambda parts: "".join(parts[:3]).encode(parts[3], "replace"))
stray = st.sampled_from([b"", b" fold", b"no colon", b": x", b"x y: z"])
contents = st.tuples(
    st.lists(fields | fields | fields | stray, max_size=12).map(b"\r\n".join),
    st.sampled_from(BODIES),
).map(lambda two: two[0] + b"\r\n\r\n" + two[1].encode())
SHOWN = st.sampled_from([{}, {"To": "a@b.example", "Cc": ""}, {"Cc": "Ann <ann@dest.example>"}])
KINDS = st.sampled_from([{}, {"bo@dest.example": RecipientKind.BCC}])
HELO = st.sampled_from(["app.example", "[192.0.2.1]", "a\r\nX: y", "(", "ü", "", "x" * 300])
SENDERS = ["jo@sender.example", '"a b\\" <x>"@sender.example', "jö@bücher.example", "a@x.example"]


@cache
def with_all_repairs(preset: str) -> Profile:
    return resolve(preset, overrides=ALL_ON)


def is_touched(step: Step, one: Field) -> bool:
    if step is hidden_fields.hide_fields:
        return hidden_fields._is_hidden(one.name)
    if step is repairs.encode_header_text:
        return not one.raw.isascii() or b"=?" in one.raw
    return one.name in OWN[step]


submissions = st.builds(
    lambda content, **more: replace(
        a_submission(recipients=("ann@dest.example", "bo@dest.example")),
        header=split(content)[0],
        body=split(content)[1],
        **more,
    ),
    contents,
    sender=st.sampled_from(SENDERS),
    helo=HELO,
    smtputf8=st.booleans(),
    attributes=st.builds(Attributes, shown=SHOWN, kinds=KINDS),
)


@settings(max_examples=150)
@given(submissions, st.sampled_from(preset_names()))
def test_every_step_leaves_all_other_fields_as_they_are(
    submission: Submission, preset: str
) -> None:
    profile = with_all_repairs(preset)
    draft = Draft.of(read(submission, profile))
    for step in steps_for(profile):
        assert step in OWN, f"{step} is new: say which fields it may touch"
        result = step(draft, FACTS)
        assert not isinstance(result, Rejection)
        compare(step, draft, result)
        draft = result


def compare(step: Step, before: Draft, after: Draft) -> None:
    """Every copy after *step* is sound, and has what the one before it had."""
    came = before.request.submission.body
    olds = before.copies if len(before.copies) == len(after.copies) else before.copies * 2
    for old, copy in zip(olds, after.copies, strict=True):
        octets = bytes(copy.header)
        body = came if copy.body is None else copy.body
        assert split(octets + body) == (octets, body), step
        assert Header.parse(octets) == copy.header, step
        assert not has_bare_line_end(octets + body), step
        # A field that is folded has no long line any more: it is known by its name.
        folds = step is repairs.reencode_lines
        long = {f.name for f in old.header.fields if folds and has_long_line(f.raw)}
        kept, now = (
            [f for f in header.fields if f.name not in long and not is_touched(step, f)]
            for header in (old.header, copy.header)
        )
        assert kept == now, step
        assert copy.body is old.body or step is repairs.reencode_lines
