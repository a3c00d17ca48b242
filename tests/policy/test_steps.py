"""What the native profile does to a message, step by step."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.draft import Draft, Rejection, Step, from_domains
from policy.core.facts import DomainKeys, Facts, Relay
from policy.core.repairs import repair_date, repair_message_id
from policy.core.request import read
from policy.core.steps import run_steps, steps_for
from policy.core.suppressed import drop_suppressed
from policy.core.trace_field import add_received
from posthouse.mail.encoded_words import decoded
from posthouse.mail.message import Header, split
from posthouse.mail.submission import OWN_CREDENTIAL, Attributes
from posthouse.mail.suppression_list import (
    Suppression,
    SuppressionList,
    stream_scope,
    tag_scope,
)
from posthouse.profiles import Profile, resolve
from servers.stores import a_submission

SUBMISSION = a_submission(
    id=UUID("0195ab00-0000-7000-8000-000000000001"),
    sender="news@sender.example",
    recipients=("a@there.example", "b@there.example"),
    client="8.8.4.4",
    tls="TLSv1.3",
    header=b"From: news@sender.example\r\n\r\n",
    body=b"Hello\r\n",
)
NATIVE = resolve("native")
OWN = DomainKeys("sender.example", None, ())
FACTS = Facts(
    Relay("relay.example", DomainKeys("relay.example", None, ()), b"k" * 32, b"i" * 32),
    {"sender.example": OWN},
    {},
)


def draft(header: bytes, profile: Profile = NATIVE, **changes: Any) -> Draft:
    return Draft.of(read(replace(SUBMISSION, header=header, **changes), profile))


def after(result: Draft | Rejection) -> bytes:
    """The header of the only copy."""
    assert isinstance(result, Draft)
    (copy,) = result.copies
    return bytes(copy.header)


def native(header: bytes) -> bytes:
    return after(run_steps(steps_for(NATIVE), draft(header), FACTS))


def test_8_bit_text_is_encoded_unless_the_client_asked_for_smtputf8() -> None:
    header = "From: Jürgen <news@sender.example>\r\nSubject: Grüße\r\n\r\n".encode()
    assert native(header).isascii()
    asked = after(run_steps(steps_for(NATIVE), draft(header, smtputf8=True), FACTS))
    assert "Subject: Grüße\r\n".encode() in asked
    assert "with UTF8SMTPSA" in asked.decode()


def received(some: Draft) -> str:
    result = add_received(some, FACTS)
    value = result.copies[0].header.first("Received")
    assert value is not None
    return value


def test_the_trace_field_of_mail_from_nobody_names_its_client() -> None:
    """Only what no client submitted is of our own making."""
    header = b"From: news@sender.example\r\n\r\n"
    assert received(draft(header, sender="")).startswith("from app.sender.example ([8.8.4.4]) by")
    own = draft(header, sender="", credential_id=OWN_CREDENTIAL)
    assert received(own).startswith("by relay.example id ")


def test_a_message_gets_what_it_lacks_and_loses_what_readers_must_not_see() -> None:
    header = (
        b"Bcc: secret@there.example\r\nReturn-Path: <x@y.example>\r\nSubject: Hi\r\n"
        b"X-Posthouse-Lane: 1\r\nX-SES-TENANT: a\r\nFrom: news@sender.example\r\n"
        b"bcc: more@there.example\r\n\r\n"
    )

    assert native(header) == (
        b"Received: from app.sender.example ([8.8.4.4]) by relay.example with ESMTPSA\r\n"
        b" id 0195ab00000070008000000000000001; Tue, 18 Mar 2025 20:44:18 +0000\r\n"
        b"Subject: Hi\r\n"
        b"From: news@sender.example\r\n"
        b"Date: Tue, 18 Mar 2025 20:44:18 +0000\r\n"
        b"Message-ID: <0195ab00-0000-7000-8000-000000000001@sender.example>\r\n\r\n"
    )


def test_a_complete_message_keeps_every_octet_below_our_trace_field() -> None:
    header = (
        b"From:  News\t<news@sender.example>\r\nDATE: 1 Mar 26 12:30 EST\r\n"
        b"Message-Id:\r\n <1@sender.example>\r\nX-Odd : \xe9 \r\n\r\n"
    )
    result = native(header)

    assert result.startswith(b"Received: ")
    assert result.endswith(b"+0000\r\n" + header)


@pytest.mark.parametrize("step", [repair_date, repair_message_id])
def test_an_empty_field_counts_as_missing(step: Step) -> None:
    result = step(draft(b"Date:\r\nMessage-ID: \t\r\n\r\n"), FACTS)

    assert isinstance(result, Draft)
    fields = result.copies[0].header.fields
    assert len(fields) == 2
    assert sum(1 for field in fields if field.value) == 1


@pytest.mark.parametrize(
    ("knob", "name"), [("conformance.date", "Date"), ("conformance.message_id", "Message-ID")]
)
def test_a_profile_that_repairs_nothing_adds_nothing(knob: str, name: str) -> None:
    profile = resolve("native", overrides={knob: "ignore"})

    result = run_steps(steps_for(profile), draft(b"From: a@sender.example\r\n\r\n"), FACTS)

    assert f"\n{name}:" in native(b"From: a@sender.example\r\n\r\n").decode()
    assert f"\n{name}:" not in after(result).decode()


def suppressing(*entries: tuple[SuppressionList, str]) -> Facts:
    """The first recipient is on these lists, in these scopes."""
    return replace(
        FACTS, suppressions={"a@there.example": tuple(Suppression(*entry) for entry in entries)}
    )


def test_suppressed_recipients_are_set_apart() -> None:
    result = drop_suppressed(draft(b"\r\n"), suppressing((SuppressionList.BOUNCE, "")))

    assert isinstance(result, Draft)
    assert [r.address for r in result.copies[0].recipients] == ["b@there.example"]
    assert result.suppressed == (("a@there.example", Suppression(SuppressionList.BOUNCE, "")),)


UNSUBSCRIBED_FROM_NEWS = (SuppressionList.UNSUBSCRIBE, stream_scope("news"))
NEWS = Attributes(stream="news", tags=("march",))


@pytest.mark.parametrize(
    ("entry", "knobs", "dropped"),
    [
        ((SuppressionList.MANUAL, ""), {}, True),
        ((SuppressionList.UNSUBSCRIBE, ""), {}, True),
        ((SuppressionList.UNSUBSCRIBE, ""), {"suppression.check_unsubscribes": False}, False),
        ((SuppressionList.BOUNCE, ""), {"suppression.check_bounces": False}, False),
        ((SuppressionList.COMPLAINT, ""), {"suppression.check_complaints": False}, False),
        ((SuppressionList.MANUAL, ""), {"suppression.scope": "list"}, True),
        (UNSUBSCRIBED_FROM_NEWS, {}, True),
        (UNSUBSCRIBED_FROM_NEWS, {"suppression.scope": "account"}, False),
        (UNSUBSCRIBED_FROM_NEWS, {"suppression.scope": "list"}, True),
        (
            (SuppressionList.UNSUBSCRIBE, stream_scope("offers")),
            {"suppression.scope": "list"},
            False,
        ),
        ((SuppressionList.UNSUBSCRIBE, tag_scope("march")), {"suppression.scope": "tag"}, True),
        ((SuppressionList.UNSUBSCRIBE, tag_scope("news")), {"suppression.scope": "list"}, False),
        (UNSUBSCRIBED_FROM_NEWS, {"suppression.scope": "tag"}, False),
    ],
)
def test_X19_the_profile_says_which_suppressions_count(
    entry: tuple[SuppressionList, str], knobs: dict[str, object], *, dropped: bool
) -> None:
    """Which lists, and whether they are kept for the account, each stream or each tag."""
    some = draft(b"\r\n", resolve("native", overrides=knobs), attributes=NEWS)

    result = drop_suppressed(some, suppressing(entry))

    assert isinstance(result, Draft)
    assert dropped is (["a@there.example"] == [r.address for r in result.suppressed])


@pytest.mark.parametrize(
    ("on", "knobs", "flags", "dropped"),
    [
        (SuppressionList.BOUNCE, {}, {"check_bounces": False}, False),
        (SuppressionList.UNSUBSCRIBE, {}, {"check_unsubscribes": False}, False),
        (SuppressionList.UNSUBSCRIBE, {}, {}, True),
        (
            SuppressionList.UNSUBSCRIBE,
            {"suppression.check_unsubscribes": False},
            {"check_unsubscribes": True},
            True,
        ),
        (SuppressionList.COMPLAINT, {}, {"check_complaints": False}, True),
        (SuppressionList.MANUAL, {}, {"check_bounces": False}, True),
    ],
)
def test_X19_flags_of_a_message_win_over_its_profile(
    on: SuppressionList, knobs: dict[str, object], flags: dict[str, bool], *, dropped: bool
) -> None:
    """M17, M19; admission lets those in that may be set. A complaint is never overridden (X19)."""
    profile = resolve("native", overrides=knobs)
    some = draft(b"\r\n", profile, attributes=Attributes(flags=flags))

    result = drop_suppressed(some, suppressing((on, "")))

    assert isinstance(result, Draft)
    assert dropped is bool(result.suppressed)


def test_untagged_mail_has_the_default_tag_of_its_profile() -> None:
    """So an unsubscribe from it stops other untagged mail, and no tagged mail (C25)."""
    profile = resolve("native", overrides={"suppression.scope": "tag", "tags.default": "default"})
    unsubscribed = suppressing((SuppressionList.UNSUBSCRIBE, tag_scope("default")))

    untagged = drop_suppressed(draft(b"\r\n", profile), unsubscribed)
    tagged = drop_suppressed(draft(b"\r\n", profile, attributes=NEWS), unsubscribed)

    assert isinstance(untagged, Draft)
    assert isinstance(tagged, Draft)
    assert ([1, 0]) == [len(untagged.suppressed), len(tagged.suppressed)]


def test_a_from_that_nothing_was_gathered_for_is_a_mistake_of_ours() -> None:
    """Else mail of a domain whose keys cannot be opened could go out as somebody else's."""
    some = draft(b"From: a@sender.example\r\n\r\n")
    header = some.copies[0].header

    assert from_domains(header.replace("From", "x@sender.example"), some.request) == (
        "sender.example",
    )
    with pytest.raises(LookupError, match=r"made\.example"):
        from_domains(header.replace("From", "x@made.example"), some.request)


@pytest.mark.parametrize(
    ("helo", "client", "said"),
    [
        ("app.example", "8.8.4.4", "app.example ([8.8.4.4])"),
        ("app.example", "2001:4860::1", "app.example ([IPv6:2001:4860::1])"),
        ("app.example", "10.1.2.3", "app.example"),
        ("app.example", "127.0.0.1", "app.example"),
        ("app.example", "fe80::1", "app.example"),
        ("app.example", "", "app.example"),
        ("[192.0.2.1]", "8.8.4.4", "[192.0.2.1] ([8.8.4.4])"),
        ("", "8.8.4.4", "unknown ([8.8.4.4])"),
        ("x\r\nBcc: y@z.example", "10.1.2.3", "unknown"),
        ("evil) by good (", "10.1.2.3", "unknown"),
        ("ü.example", "10.1.2.3", "unknown"),
    ],
)
def test_the_trace_names_the_client_but_no_private_address(
    helo: str, client: str, said: str
) -> None:
    value = received(draft(b"\r\n", helo=helo, client=client))

    assert value.startswith(f"from {said} by relay.example with ")


@pytest.mark.parametrize(
    ("tls", "smtputf8", "protocol"),
    [
        ("", False, "ESMTPA"),
        ("TLSv1.3", False, "ESMTPSA"),
        ("", True, "UTF8SMTPA"),
        ("TLSv1.3", True, "UTF8SMTPSA"),
    ],
)
def test_the_trace_says_how_the_message_came(tls: str, smtputf8: bool, protocol: str) -> None:
    """RFC 3848 and RFC 6531 name the protocols; credentials are always asked for."""
    value = received(draft(b"\r\n", tls=tls, smtputf8=smtputf8))

    assert f" with {protocol} id " in value


@given(st.binary(max_size=200), st.text(max_size=30), st.text(max_size=30))
def test_the_steps_take_any_message(content: bytes, helo: str, client: str) -> None:
    """They give a header of whole lines, with what every message must have."""
    header, body = split(content)
    some = draft(header, body=body, helo=helo, client=client)

    result = run_steps(steps_for(NATIVE), some, FACTS)

    assert isinstance(result, Draft)
    (copy,) = result.copies
    assert all(copy.header.first(name) for name in ("Received", "Date", "Message-ID"))
    assert b"\n" not in bytes(copy.header).replace(b"\r\n", b"")


def test_C24_tags_in_the_subject_are_not_delivered() -> None:
    header = "From: a@sender.example\r\nSubject: [tag: märz] Grüße\r\nX-Tag: b\r\n\r\n".encode()
    result = after(run_steps(steps_for(resolve("critsend")), draft(header), FACTS))
    assert b"\r\nSubject: =?utf-8?b?R3LDvMOfZQ==?=\r\n" in result
    assert b"X-Tag" not in result
    assert b"tag: m" in decoded(Header.parse(native(header)).first("Subject") or "").encode()


def test_X10_a_control_header_that_an_account_renamed_is_not_delivered() -> None:
    header = b"From: a@sender.example\r\nX-Our-Tag: a\r\nX-Tag: b\r\nX-Other: c\r\n\r\n"
    renamed = resolve("critsend", overrides={"tags.header.name": "X-our-tag"})

    result = after(run_steps(steps_for(renamed), draft(header, renamed), FACTS))

    assert b"Tag" not in result
    assert b"X-Other: c\r\n" in result
    assert b"X-Our-Tag: a\r\n" in native(header)


def test_X15_the_id_that_the_client_heard_is_in_the_header() -> None:
    some = draft(b"From: news@sender.example\r\n\r\n")
    assert f" id {some.request.submission.id.hex};" in received(some)
