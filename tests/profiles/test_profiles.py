"""Profiles: which there are, what they hold, and how accounts override them."""

from dataclasses import FrozenInstanceError, replace

import pytest

from posthouse.mail.lane import Lane
from posthouse.profiles import InvalidOverride, Profile, UnknownProfile, resolve
from posthouse.profiles.choices import FromPolicy, Multiplicity
from posthouse.profiles.native import NATIVE


def test_native_is_resolved_by_name_and_revision() -> None:
    assert NATIVE is resolve("native", 1)
    assert NATIVE is resolve("native")
    assert NATIVE is resolve("native", 1, {})


@pytest.mark.parametrize(("name", "revision"), [("later", None), ("later", 1), ("native", 2)])
def test_a_profile_of_a_newer_version_is_not_guessed_at(name: str, revision: int | None) -> None:
    with pytest.raises(UnknownProfile, match=rf"{name}.*there is: .*native, revision 1"):
        resolve(name, revision)


def test_a_profile_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        NATIVE.sender.check = "off"  # type: ignore[misc, assignment]


# One for each line of RULES A6 that a profile decides.
@pytest.mark.parametrize(
    ("rule", "knob", "given", "value"),
    [
        ("E07", "suppression.soft_limit", 5, 5),
        ("M23", "suppression.hard_limit", 3, 3),
        ("X01", "session.allowed_listeners", ["0.0.0.0:25/none"], ("0.0.0.0:25/none",)),
        ("X02", "session.require_tls", True, True),
        ("X03", "session.shared_usernames", ["smtp_injection"], ("smtp_injection",)),
        ("X03", "session.allowed_networks", ["192.0.2.0/24"], ("192.0.2.0/24",)),
        ("X04", "sender.from_policy", "rewrite_from_envelope", FromPolicy.REWRITE_FROM_ENVELOPE),
        ("X05", "sender.check", "alert", "alert"),
        ("X05", "sender.checked_against", "authorized", "authorized"),
        ("U13", "sender.authorized_domains", ["b.example"], ("b.example",)),
        ("C14", "sender.signed_by", "foo@bar.example", "foo@bar.example"),
        ("C09", "conformance.required_fields", ["To"], ("To",)),
        ("X16", "priority.neutral_counts", True, True),
        ("X05", "sender.check_on", "mail_from", "mail_from"),
        ("X05", "sender.empty_list_means", "all", "all"),
        ("X05", "replies.foreign_from", "Unconfigured <{domain}>", "Unconfigured <{domain}>"),
        ("X06", "recipients.policy", "attribute_arrays", "attribute_arrays"),
        ("X07", "recipients.bcc", "first_only", "first_only"),
        ("X08", "tracking.opens", True, True),
        ("X08", "tracking.header_overrides", True, True),
        ("X08", "tracking.bcc", "same_as_to", "same_as_to"),
        ("X09", "tags.header.name", "X-Tag", "X-Tag"),
        ("X09", "tags.max_count", 3, 3),
        ("X09", "tags.on_invalid", "drop", "drop"),
        ("X10", "control.flags.multiplicity", "first", Multiplicity.FIRST),
        ("X11", "conformance.eight_bit", "repair", "repair"),
        ("X12", "bounces.dsn_to_sender", False, False),
        ("X13", "sender.reply_to", "same_as_from", "same_as_from"),
        ("X14", "domain.onboarding", "delegation", "delegation"),
        ("X15", "replies.accepted", "Taken as {id}", "Taken as {id}"),
        ("X16", "priority.from_header", False, False),
        ("X16", "priority.highest", 3, Lane.NORMAL),
        ("X16", "priority.highest", "high", Lane.HIGH),
        ("X18", "size.max_message_octets", 307_200, 307_200),
        ("X18", "size.max_message_octets", None, None),
        ("X19", "suppression.check_bounces", False, False),
        ("X19", "suppression.scope", "tag", "tag"),
        ("X19", "suppression.override_allowed", True, True),
    ],
)
def test_accounts_override_single_knobs(rule: str, knob: str, given: object, value: object) -> None:
    profile = resolve("native", 1, {knob: given})
    found: object = profile
    for name in knob.split("."):
        found = getattr(found, name)
    assert value == found, rule
    assert type(value) is type(found) or isinstance(found, str)


def test_overrides_leave_everything_else_as_it_is() -> None:
    profile = resolve("native", 1, {"tags.max_count": 3, "tags.header.name": "X-Tag"})
    assert isinstance(profile, Profile)
    assert NATIVE == replace(profile, tags=NATIVE.tags)


@pytest.mark.parametrize(
    ("knob", "given", "error"),
    [
        ("tracking.open", True, r"no knob is called 'tracking\.open'; there is: .*tracking\.opens"),
        ("tracking", True, "no knob is called 'tracking'"),
        ("tracking.opens.more", True, "no knob is called"),
        ("name", "other", "no knob is called 'name'"),
        ("revision", 2, "no knob is called 'revision'"),
        ("", 2, "no knob is called ''"),
        ("tracking.opens", "yes", r"tracking\.opens: 'yes' is not true or false"),
        ("tags.max_count", "3", "'3' is not a whole number from 0"),
        ("tags.max_count", True, "True is not a whole number"),
        ("tags.max_count", -1, "-1 is not a whole number"),
        ("tags.max_count", None, "None is not a whole number"),
        ("tags.default", 3, "3 is not a text"),
        ("suppression.counted_days", 91, "91 is not a number of days from 1 to 90"),
        ("suppression.soft_days", 0, "0 is not a number of days from 1 to 90"),
        ("suppression.hard_limit", 101, "101 is more than 100"),
        ("tags.default", "a\r\nb", "not a text without control characters"),
        ("session.allowed_listeners", "all", "'all' is not a list of texts"),
        ("session.allowed_listeners", [3], "3 is not a text"),
        ("session.allowed_networks", ["192.0.2.1/24"], "has host bits set"),
        (
            "sender.check",
            "maybe",
            r"sender\.check: 'maybe' is not one of: off, alert, block, block_and_alert",
        ),
        ("sender.check", 1, "1 is not one of: off, alert, block"),
        ("sender.check", ["off"], "is not one of"),
        ("priority.highest", 6, "no lane is called '6'"),
        ("tags.header.name", "X Tag", "'X Tag' is not the name of a header field"),
        ("replies.accepted", "Taken {uid}", r"\{uid\} is not known in this text; there is: \{id\}"),
        ("replies.accepted", "Fürs {id}", "is not ASCII"),
    ],
)
def test_an_override_that_cannot_be_says_what_was_seen_and_what_is_allowed(
    knob: str, given: object, error: str
) -> None:
    with pytest.raises(InvalidOverride, match=error):
        resolve("native", 1, {knob: given})
