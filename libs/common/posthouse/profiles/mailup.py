"""The preset `mailup`: priorities, lists of authorized senders, alerts (RULES U01 to U26)."""

from posthouse.mail.lane import Lane
from posthouse.profiles.choices import (
    Bcc,
    BccTracking,
    CheckedSender,
    Conformance,
    EmptyListMeans,
    FromPolicy,
    LineEndings,
    Multiplicity,
    Onboarding,
    OnInvalidTag,
    RecipientPolicy,
    ReplyTo,
    SenderCheck,
    SenderList,
    SuppressionScope,
    TagCharset,
)
from posthouse.profiles.knobs import (
    BounceKnobs,
    ConformanceKnobs,
    ControlHeader,
    ControlKnobs,
    DomainKnobs,
    PriorityKnobs,
    RecipientKnobs,
    ReplyTexts,
    SandboxKnobs,
    SenderKnobs,
    SessionKnobs,
    SizeKnobs,
    SuppressionKnobs,
    TagKnobs,
    TrackingKnobs,
)
from posthouse.profiles.profile import Profile

_NO_HEADER = ControlHeader(name="", multiplicity=Multiplicity.REJECT)

MAILUP = Profile(
    name="mailup",
    revision=1,
    session=SessionKnobs(
        allowed_listeners=(),
        require_tls=False,  # U03
        shared_usernames=(),
        shared_login_failed="",
        allowed_networks=(),
    ),
    sender=SenderKnobs(
        from_policy=FromPolicy.KEEP,
        check=SenderCheck.ALERT,  # U16; block_and_alert cancels the mailing (U17)
        check_on=CheckedSender.FROM,
        checked_against=SenderList.AUTHORIZED,
        authorized_domains=(),
        authorized_senders=(),
        listed_are_verified=True,  # U18
        empty_list_means=EmptyListMeans.ALL,  # U15
        hosts_of_domains=False,
        null_sender=True,
        single_author=False,
        signed_by="",
        reply_to=ReplyTo.SAME_AS_FROM,  # U21
    ),
    recipients=RecipientKnobs(policy=RecipientPolicy.RFC, bcc=Bcc.ON),
    conformance=ConformanceKnobs(
        required_fields=(),
        refused_fields=(),
        strict_syntax=False,
        repeated_fields=Conformance.REPAIR,
        subject=Conformance.IGNORE,
        message_id=Conformance.REPAIR,
        date=Conformance.REPAIR,
        line_endings=LineEndings.CLEAN,
        long_lines=Conformance.IGNORE,
        eight_bit=Conformance.REPAIR,
    ),
    control=ControlKnobs(
        own=False,
        flags=_NO_HEADER,
        attributes=ControlHeader(name="X-SMTPAPI", multiplicity=Multiplicity.REJECT),  # U20
        stream=_NO_HEADER,
        default_stream="",  # the list of a user (U01)
        default_campaign="",
    ),
    tags=TagKnobs(
        header=_NO_HEADER,
        charset=TagCharset.LETTERS_DIGITS_HYPHEN,
        max_count=10,
        max_characters=64,
        default="",
        on_invalid=OnInvalidTag.REJECT,
        from_subject=False,
        max_subject_characters=0,
    ),
    tracking=TrackingKnobs(
        opens=False,
        clicks=False,
        header_overrides=True,
        bcc=BccTracking.SAME_AS_TO,
        traffic_source="",
        text_links=False,
        no_track_hosts=(),
    ),
    suppression=SuppressionKnobs(
        check_unsubscribes=True,
        check_bounces=True,
        check_complaints=True,
        scope=SuppressionScope.LIST,  # U01, U19
        override_allowed=False,
        unsubscribe_fields=False,
        hard_limit=1,
        soft_limit=3,
        counted_days=14,
        soft_days=7,
    ),
    bounces=BounceKnobs(dsn_to_sender=True, address_required=False, aligned_return_path=False),
    priority=PriorityKnobs(
        from_header=True,
        neutral_counts=True,  # U08, to the letter
        highest=Lane.VERY_HIGH,
        highest_of_user=Lane.VERY_HIGH,
        fields_show_lane=True,  # U12
    ),
    size=SizeKnobs(max_message_octets=None),
    domain=DomainKnobs(onboarding=Onboarding.RECORDS),
    sandbox=SandboxKnobs(allowed=True, most_messages=5, deliver_to_confirmed=False),
    replies=ReplyTexts(
        accepted="Ok: queued as {id}",
        foreign_sender=("Sender domain {domain} is not authorized for this SMTP+ user: {allowed}"),
        foreign_from=("From domain {domain} is not authorized for this SMTP+ user: {allowed}"),
    ),
)
