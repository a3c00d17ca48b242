"""The steps that make a message final, chosen by the knobs of its profile."""

from collections.abc import Iterable

from policy.core.draft import Draft, Rejection, Step
from policy.core.facts import Facts
from policy.core.framed_copies import frame
from policy.core.hidden_fields import (
    HideNamed,
    control_fields_of,
    hide_fields,
    hide_subject_tags,
)
from policy.core.named_key import require_named_key
from policy.core.priority_fields import show_lane
from policy.core.repairs import (
    drop_copies,
    encode_header_text,
    encode_subject,
    reencode_lines,
    repair_date,
    repair_message_id,
)
from policy.core.rewritten_author import rewrite_from_envelope
from policy.core.sender_field import name_sender
from policy.core.shown_recipients import show_decided_fields, show_own_bcc
from policy.core.suppressed import drop_suppressed
from policy.core.trace_field import add_received
from policy.core.tracked_copies import track
from policy.core.unsubscribe_fields import offer_unsubscribe
from posthouse.profiles import Profile
from posthouse.profiles.choices import Conformance, FromPolicy, RecipientPolicy
from posthouse.profiles.knobs import ConformanceKnobs


def steps_for(profile: Profile) -> Iterable[Step]:
    """The steps for a message of *profile*, in this order."""
    recipients, conformance = profile.recipients.policy, profile.conformance
    yield hide_fields
    if renamed := control_fields_of(profile):
        yield HideNamed(renamed)
    if conformance.repeated_fields is Conformance.REPAIR:
        yield drop_copies
    if recipients in (RecipientPolicy.FIRST_TO_AND_ONE_BCC, RecipientPolicy.ATTRIBUTE_ARRAYS):
        yield show_decided_fields
    if profile.sender.from_policy is FromPolicy.REWRITE_FROM_ENVELOPE:
        yield rewrite_from_envelope
    yield from _repairs(conformance)
    yield from _decided(profile)
    if conformance.long_lines is Conformance.REPAIR:
        yield reencode_lines
    yield add_received
    yield drop_suppressed
    if recipients is RecipientPolicy.ATTRIBUTE_ARRAYS:
        yield show_own_bcc  # what hides Bcc came before
    if profile.control.attributes.name:
        yield require_named_key
    yield frame
    yield track  # what follows changes no body
    yield offer_unsubscribe  # the last one: each recipient has a copy of its own


def _decided(profile: Profile) -> Iterable[Step]:
    """What recipients see of what was decided about the message."""
    if profile.tags.from_subject:
        yield hide_subject_tags
    if profile.sender.from_policy is FromPolicy.KEEP_AND_ADD_SENDER:
        yield name_sender
    if profile.priority.fields_show_lane:
        yield show_lane


def _repairs(knobs: ConformanceKnobs) -> Iterable[Step]:
    if knobs.date is Conformance.REPAIR:
        yield repair_date
    if knobs.message_id is Conformance.REPAIR:
        yield repair_message_id
    if knobs.subject is Conformance.REPAIR:
        yield encode_subject
    if knobs.eight_bit is Conformance.REPAIR:
        yield encode_header_text


def run_steps(steps: Iterable[Step], draft: Draft, facts: Facts) -> Draft | Rejection:
    """*draft* after all *steps*, or the first rejection."""
    for step in steps:
        result = step(draft, facts)
        if isinstance(result, Rejection):
            return result
        draft = result
    return draft
