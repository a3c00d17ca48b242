"""Which rules a profile has, and the submission that comes of a message that passes them."""

from collections.abc import Iterator
from typing import NamedTuple, assert_never
from uuid import UUID

from ingest.core import refusals
from ingest.core.admission import Admission, Incoming, Rule
from ingest.core.conformance_rules import (
    RefuseFields,
    RequireFields,
    refuse_loop,
    require_message_id,
)
from ingest.core.control_headers import (
    BeginWithCampaign,
    ReadAttributes,
    ReadFlags,
    apply_sender_flags,
)
from ingest.core.domains_of_others import refuse_domains_of_others
from ingest.core.message_headline import headline_of
from ingest.core.option_rules import apply_options
from ingest.core.own_domains import require_own_author
from ingest.core.own_headers import read_own_headers
from ingest.core.priority_rules import choose_lane
from ingest.core.recipient_rules import FirstToAndOneBcc, refuse_unnamed, require_single_to
from ingest.core.refusals import Refusal
from ingest.core.reply_to_rules import refuse_other_reply_to, refuse_several_reply_to
from ingest.core.sandbox_rules import judge_sandbox
from ingest.core.sender_rules import (
    RequireAuthor,
    alert_unauthorized,
    choose_account,
    require_equal_sender,
    require_single_author,
)
from ingest.core.stream_rules import ChooseStream
from ingest.core.syntax_rules import (
    REQUIRE_DATE,
    RefuseRepeatedFields,
    refuse_eight_bit,
    refuse_unreadable,
    refuse_wrong_subject,
)
from ingest.core.tagging import ReadTags
from posthouse.mail.message import LINE_LIMIT
from posthouse.mail.message_flag import MessageFlag
from posthouse.mail.submission import Submission
from posthouse.profiles import Profile
from posthouse.profiles.choices import (
    Bcc,
    CheckedSender,
    Conformance,
    FromPolicy,
    LineEndings,
    RecipientPolicy,
    ReplyTo,
    SenderCheck,
)
from posthouse.smtp.data import Flaw


def rules_for(
    profile: Profile, *, has_sandbox: bool = False, has_options: bool = False
) -> tuple[Rule, ...]:
    """The rules for a message of *profile*, in this order.

    *has_sandbox*: the relay has a sandbox domain. *has_options*: messages may have options.
    """
    return tuple(_rules(profile, has_sandbox=has_sandbox, has_options=has_options))


def _rules(profile: Profile, *, has_sandbox: bool, has_options: bool) -> Iterator[Rule]:
    control = profile.control
    yield refuse_loop
    yield from _conformance(profile)
    yield from _senders(profile)
    if has_sandbox:
        yield judge_sandbox
    if profile.recipients.policy is RecipientPolicy.SINGLE_STRICT:
        yield require_single_to
    if control.stream.name or control.default_stream or has_options:
        key = control.stream.name.lower().encode()
        yield ChooseStream(control.stream, key, control.default_stream)
    if control.default_campaign:
        yield BeginWithCampaign(control.default_campaign)
    yield apply_sender_flags
    if control.own:
        yield read_own_headers
    yield from _recipient_and_control_rules(profile)
    if has_options:
        yield apply_options
    if _has_tags(profile):
        yield ReadTags.of(profile)
    repeated = profile.conformance.repeated_fields
    if repeated is not Conformance.IGNORE:  # what is said above of one field says more
        yield RefuseRepeatedFields(copies_count_once=repeated is Conformance.REPAIR)
    yield choose_account
    yield choose_lane


def _conformance(profile: Profile) -> Iterator[Rule]:
    knobs = profile.conformance
    if knobs.required_fields:
        yield RequireFields.of(knobs.required_fields)
    if knobs.refused_fields:
        yield RefuseFields.of(knobs.refused_fields)
    if knobs.strict_syntax:
        yield refuse_unreadable
    if knobs.message_id is Conformance.REQUIRE:
        yield require_message_id
    if knobs.date is Conformance.REQUIRE:
        yield REQUIRE_DATE
    if knobs.subject is Conformance.REQUIRE:
        yield refuse_wrong_subject
    if knobs.eight_bit is Conformance.REQUIRE:
        yield refuse_eight_bit


def _senders(profile: Profile) -> Iterator[Rule]:
    knobs = profile.sender
    blocks = knobs.check in (SenderCheck.BLOCK, SenderCheck.BLOCK_AND_ALERT)
    yield RequireAuthor(
        is_checked=blocks and knobs.check_on is not CheckedSender.MAIL_FROM,
        takes_copies=profile.conformance.repeated_fields is Conformance.REPAIR,
    )
    if knobs.takes_null_sender:
        yield require_own_author
    if knobs.single_author:
        yield require_single_author
    if knobs.from_policy is FromPolicy.REQUIRE_EQUAL:
        yield require_equal_sender
    if knobs.check is SenderCheck.ALERT:
        yield alert_unauthorized
    yield refuse_domains_of_others
    if knobs.reply_to is ReplyTo.SINGLE:
        yield refuse_several_reply_to
    elif knobs.reply_to is ReplyTo.SAME_AS_FROM:
        yield refuse_other_reply_to


def _has_tags(profile: Profile) -> bool:
    tags = profile.tags
    named = tags.header.name or tags.default or profile.tracking.traffic_source
    return bool(named) or tags.from_subject


def _recipient_and_control_rules(profile: Profile) -> Iterator[Rule]:
    """Who gets a copy, and what control headers say: those win over all that was known before."""
    recipients, control = profile.recipients, profile.control
    decides = frozenset(_decided_by_headers(profile))
    if recipients.policy is RecipientPolicy.RFC and recipients.bcc is Bcc.OFF:
        yield refuse_unnamed
    if recipients.policy is RecipientPolicy.FIRST_TO_AND_ONE_BCC:
        yield FirstToAndOneBcc(allows_bcc=recipients.bcc is not Bcc.OFF)
    if control.flags.name:
        yield ReadFlags(control.flags, control.flags.name.lower().encode(), decides)
    if control.attributes.name:
        yield ReadAttributes(
            control.attributes,
            control.attributes.name.lower().encode(),
            decides,
            copies=recipients.policy is RecipientPolicy.ATTRIBUTE_ARRAYS,
            tags=profile.tags,
        )


def _decided_by_headers(profile: Profile) -> Iterator[MessageFlag]:
    """The flags that control headers of a message may set (X08, X19, U19)."""
    yield from (MessageFlag.LIST_HEADER, MessageFlag.LIST_FOOTER)
    if profile.tracking.header_overrides:
        yield from (MessageFlag.OPEN_TRACKING, MessageFlag.CLICK_TRACKING)
    if profile.suppression.override_allowed:
        yield from (MessageFlag.CHECK_UNSUBSCRIBES, MessageFlag.CHECK_BOUNCES)


class Client(NamedTuple):
    """What the Received header of a message says about its client."""

    address: str
    helo: str
    tls: str


def submission(
    message: Incoming, decided: Admission, body: bytes, client: Client, id_: UUID
) -> Submission:
    """What is stored of *message* as *id_*."""
    session = message.session
    return Submission(
        id=id_,
        account_id=decided.account_id,
        credential_id=session.credential_id,
        profile=session.profile_name,
        profile_revision=session.profile_revision,
        lane=decided.lane,
        sender=message.sender,
        recipients=decided.recipients,
        smtputf8=message.smtputf8,
        client=client.address,
        helo=client.helo,
        tls=client.tls,
        header=message.head.octets,
        body=body,
        attributes=decided.attributes,
        terms=decided.terms,
        headline=headline_of(message.head, message.sender, session.profile),
    )


def line_limit(profile: Profile) -> int | None:
    """Octets that a line of a message may have on its way in; None for any number."""
    return LINE_LIMIT if profile.conformance.long_lines is Conformance.REQUIRE else None


def cleans_lines(profile: Profile) -> bool:
    """Whether odd line ends are mended on their way in, and not refused."""
    return profile.conformance.line_endings is LineEndings.CLEAN


def refusal_for(flaw: Flaw, limit: int) -> Refusal:
    """The answer to a message with a flaw of its octets, of which it may have *limit*."""
    match flaw:
        case Flaw.TOO_BIG:
            return refusals.too_big(limit)
        case Flaw.BARE_LINE_END:
            return refusals.BARE_LINE_END
        case Flaw.LONG_LINE:
            return refusals.line_too_long(LINE_LIMIT)
        case _:
            assert_never(flaw)
