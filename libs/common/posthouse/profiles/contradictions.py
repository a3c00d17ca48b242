"""The linter of profiles: sets of knobs that contradict each other (RULES A6, rule 3)."""

from collections.abc import Iterator

from posthouse.profiles.choices import (
    Bcc,
    CheckedSender,
    EmptyListMeans,
    FromPolicy,
    RecipientPolicy,
    SenderCheck,
    SenderList,
    SuppressionScope,
)
from posthouse.profiles.profile import Profile

_BLOCKING = (SenderCheck.BLOCK, SenderCheck.BLOCK_AND_ALERT)
_IN_CLEAR = "/none"  # the mode of a listener that never speaks TLS


def contradictions(profile: Profile) -> tuple[str, ...]:
    """A sentence for each knob that can have no effect, or that another one makes impossible."""
    rooms = (_session, _sender, _lists, _recipients, _fields, _tags, _overrides)
    return tuple(sentence for room in rooms for sentence in room(profile))


def _session(profile: Profile) -> Iterator[str]:
    knobs = profile.session
    listeners = knobs.allowed_listeners
    if knobs.require_tls and listeners and all(each.endswith(_IN_CLEAR) for each in listeners):
        yield (
            "session.require_tls wants TLS, and no listener in session.allowed_listeners speaks it:"
            f" {', '.join(listeners)}"
        )


def _sender(profile: Profile) -> Iterator[str]:
    knobs = profile.sender
    is_checked = knobs.check in _BLOCKING and knobs.check_on is not CheckedSender.FROM
    if knobs.from_policy is FromPolicy.REWRITE_FROM_ENVELOPE and not is_checked:
        yield (
            "sender.from_policy=rewrite_from_envelope makes MAIL FROM the author, so it must be"
            " checked: set sender.check=block and sender.check_on=mail_from or both"
        )
    if knobs.signed_by and knobs.from_policy is not FromPolicy.KEEP_AND_ADD_SENDER:
        yield (
            "sender.signed_by names whom a Sender field shows, which only"
            " sender.from_policy=keep_and_add_sender adds"
        )


def _lists(profile: Profile) -> Iterator[str]:
    knobs = profile.sender
    has_lists = bool(knobs.authorized_domains or knobs.authorized_senders)
    if knobs.checked_against is SenderList.VERIFIED and has_lists:
        yield (
            "sender.authorized_domains and sender.authorized_senders count only with"
            " sender.checked_against=authorized"
        )
    if has_lists and knobs.check is SenderCheck.OFF:
        yield "sender.check=off checks nobody, so the lists of authorized senders have no effect"
    is_empty = knobs.checked_against is SenderList.AUTHORIZED and not has_lists
    blocks = knobs.check in _BLOCKING
    if is_empty and blocks and knobs.empty_list_means is EmptyListMeans.NONE:
        yield (
            "no sender is authorized: fill sender.authorized_domains or sender.authorized_senders,"
            " or set sender.empty_list_means=all"
        )


def _recipients(profile: Profile) -> Iterator[str]:
    knobs, control = profile.recipients, profile.control
    match knobs.policy:
        case RecipientPolicy.SINGLE_STRICT:
            if knobs.bcc is not Bcc.OFF:
                yield (
                    "recipients.policy=single_strict sends to the one address in To, so"
                    f" recipients.bcc cannot be {knobs.bcc}: set it to off"
                )
        case RecipientPolicy.ATTRIBUTE_ARRAYS:
            if not control.attributes.name:
                yield (
                    "recipients.policy=attribute_arrays reads cc, bcc and archive from the header"
                    " that control.attributes.name names, and it names none"
                )
        case RecipientPolicy.FIRST_TO_AND_ONE_BCC:
            if knobs.bcc is Bcc.OFF:
                yield (
                    "recipients.policy=first_to_and_one_bcc makes one recipient blind, which"
                    " recipients.bcc=off forbids: set it to first_only"
                )
        case RecipientPolicy.RFC:
            if knobs.bcc is Bcc.FIRST_ONLY:
                yield (
                    "recipients.bcc=first_only belongs to"
                    " recipients.policy=first_to_and_one_bcc: with rfc it is on or off"
                )


def _fields(profile: Profile) -> Iterator[str]:
    knobs = profile.conformance
    refused = {name.lower() for name in knobs.refused_fields}
    for name in knobs.required_fields:
        if name.lower() in refused:
            yield f"{name} is in conformance.required_fields and in conformance.refused_fields"
    for name in ("from", "date", "message-id"):
        if name in refused:
            yield f"{name} is in conformance.refused_fields, and every message has one"
    control, seen = profile.control, set[str]()
    for header in (control.flags, control.attributes, control.stream, profile.tags.header):
        name = header.name.lower()
        if name and name in seen:
            yield f"the control header {header.name} has two meanings"
        if name and name in refused:
            yield f"the control header {header.name} is in conformance.refused_fields"
        seen.add(name)


def _tags(profile: Profile) -> Iterator[str]:
    knobs = profile.tags
    if len(knobs.default) > knobs.max_characters:
        yield (
            f"tags.default is longer than the {knobs.max_characters} characters of"
            " tags.max_characters"
        )
    has_tags = knobs.header.name or knobs.from_subject or knobs.default or profile.control.own
    if profile.suppression.scope is SuppressionScope.TAG and not has_tags:
        yield (
            "suppression.scope=tag needs tags: name tags.header.name, or set tags.from_subject or"
            " tags.default"
        )


def _overrides(profile: Profile) -> Iterator[str]:
    control = profile.control
    has_header = control.flags.name or control.attributes.name or control.own
    if profile.tracking.header_overrides and not has_header:
        yield "tracking.header_overrides needs a header: control.flags.name or .attributes.name"
    if profile.suppression.override_allowed and not (control.flags.name or control.attributes.name):
        yield "suppression.override_allowed needs a header: control.flags.name or .attributes.name"
