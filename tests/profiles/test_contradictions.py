"""The linter refuses knobs that contradict each other, with a sentence that says why."""

import json

import pytest

from posthouse.profiles import contradictions, knob_values, preset_names, resolve


@pytest.mark.parametrize("name", preset_names())
def test_no_preset_contradicts_itself(name: str) -> None:
    assert contradictions(resolve(name)) == ()


@pytest.mark.parametrize("name", preset_names())
def test_the_values_of_a_preset_are_those_that_overrides_give(name: str) -> None:
    """As JSON: what `posthouse profile show` prints can be given to `profile create --set`."""
    profile = resolve(name)
    values = json.loads(json.dumps(knob_values(profile)))
    assert resolve(name, None, values) == profile


@pytest.mark.parametrize(
    ("knobs", "sentence"),
    [
        (
            {"session.require_tls": True, "session.allowed_listeners": ["0.0.0.0:25/none"]},
            "session.require_tls wants TLS, and no listener in session.allowed_listeners speaks it",
        ),
        (
            {"sender.from_policy": "rewrite_from_envelope", "sender.check_on": "from"},
            "makes MAIL FROM the author, so it must be checked",
        ),
        ({"sender.signed_by": "foo@bar.example"}, "sender.signed_by names whom a Sender field"),
        (
            {"sender.authorized_domains": ["bar.example"]},
            "count only with sender.checked_against=authorized",
        ),
        (
            {
                "sender.checked_against": "authorized",
                "sender.authorized_senders": ["foo@bar.example"],
                "sender.check": "off",
            },
            "sender.check=off checks nobody",
        ),
        ({"sender.checked_against": "authorized"}, "no sender is authorized"),
        ({"recipients.policy": "single_strict"}, "so recipients.bcc cannot be on"),
        ({"recipients.policy": "attribute_arrays"}, "and it names none"),
        (
            {"recipients.policy": "first_to_and_one_bcc", "recipients.bcc": "off"},
            "which recipients.bcc=off forbids",
        ),
        ({"recipients.bcc": "first_only"}, "with rfc it is on or off"),
        (
            {"conformance.required_fields": ["To"], "conformance.refused_fields": ["TO"]},
            "To is in conformance.required_fields and in conformance.refused_fields",
        ),
        ({"conformance.refused_fields": ["From"]}, "every message has one"),
        (
            {"control.flags.name": "X-A", "control.attributes.name": "x-a"},
            "the control header x-a has two meanings",
        ),
        (
            {"control.flags.name": "X-A", "conformance.refused_fields": ["X-A"]},
            "the control header X-A is in conformance.refused_fields",
        ),
        (
            {"tags.default": "newsletter", "tags.max_characters": 5},
            "tags.default is longer than the 5 characters",
        ),
        (
            {
                "suppression.scope": "tag",
                "control.own": False,
                "tracking.header_overrides": False,
            },
            "suppression.scope=tag needs tags",
        ),
        (
            {"tracking.header_overrides": True, "control.own": False},
            "tracking.header_overrides needs a header",
        ),
        ({"suppression.override_allowed": True}, "suppression.override_allowed needs a header"),
    ],
)
def test_A6_3_impossible_sets_are_refused(knobs: dict[str, object], sentence: str) -> None:
    (found,) = contradictions(resolve("native", None, knobs))
    assert sentence in found
