"""The preset of those who come from the SMTP API of Episerver Campaign (RULES A5).

One recipient a message, and a violated rule refuses the message (E10 to E20).
"""

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

EPISERVER = Profile(
    name="episerver",
    revision=1,
    session=SessionKnobs(
        allowed_listeners=(),
        require_tls=True,  # credentials travel encrypted (E01)
        shared_usernames=(),
        shared_login_failed="",
        allowed_networks=(),  # the customer's addresses are registered by an override (E02)
    ),
    sender=SenderKnobs(
        from_policy=FromPolicy.REQUIRE_EQUAL,  # E18
        check=SenderCheck.BLOCK,  # E13, E19
        check_on=CheckedSender.BOTH,
        checked_against=SenderList.VERIFIED,
        authorized_domains=(),
        authorized_senders=(),
        listed_are_verified=False,
        empty_list_means=EmptyListMeans.NONE,
        hosts_of_domains=False,
        null_sender=False,  # E18
        single_author=True,  # E13
        signed_by="",
        reply_to=ReplyTo.SINGLE,  # E16
    ),
    recipients=RecipientKnobs(policy=RecipientPolicy.SINGLE_STRICT, bcc=Bcc.OFF),  # E12, E14
    conformance=ConformanceKnobs(
        required_fields=("Subject",),  # not empty (E15)
        refused_fields=("Cc", "Bcc", "Return-Path"),  # E14, E20
        strict_syntax=False,
        repeated_fields=Conformance.REQUIRE,
        subject=Conformance.IGNORE,
        message_id=Conformance.REQUIRE,  # E11
        date=Conformance.REPAIR,
        line_endings=LineEndings.CLEAN,
        long_lines=Conformance.IGNORE,
        eight_bit=Conformance.REPAIR,
    ),
    control=ControlKnobs(
        own=False,
        flags=_NO_HEADER,
        attributes=_NO_HEADER,
        stream=ControlHeader(name="X-bm-mailing", multiplicity=Multiplicity.REJECT),  # E06, E17
        default_stream="",
        default_campaign="",
    ),
    tags=TagKnobs(
        header=_NO_HEADER,
        charset=TagCharset.LETTERS_DIGITS_HYPHEN,
        max_count=10,
        max_characters=64,
        default="",
        from_subject=False,
        max_subject_characters=0,
        on_invalid=OnInvalidTag.REJECT,
    ),
    tracking=TrackingKnobs(
        opens=False,
        clicks=False,
        header_overrides=False,
        bcc=BccTracking.NONE,
        traffic_source="",
        text_links=False,
        no_track_hosts=(),
    ),
    suppression=SuppressionKnobs(  # always on; the limits are settings (E07)
        check_unsubscribes=True,
        check_bounces=True,
        check_complaints=True,
        scope=SuppressionScope.ACCOUNT,
        override_allowed=False,
        unsubscribe_fields=False,
        hard_limit=1,
        soft_limit=3,
        counted_days=14,
        soft_days=7,
    ),
    bounces=BounceKnobs(
        dsn_to_sender=False,  # undelivered mail goes to the bounce address (E09)
        address_required=True,  # E04
        aligned_return_path=True,  # E20
    ),
    priority=PriorityKnobs(
        from_header=False,
        neutral_counts=False,
        highest=Lane.HIGH,
        highest_of_user=Lane.HIGH,
        fields_show_lane=False,
    ),
    size=SizeKnobs(max_message_octets=307_200),  # 300 KB (E10)
    domain=DomainKnobs(onboarding=Onboarding.DELEGATION),  # E03
    sandbox=SandboxKnobs(allowed=False, most_messages=5, deliver_to_confirmed=False),  # E13
    replies=ReplyTexts(
        accepted="Ok: queued as {id}",
        foreign_sender="Sender domain {domain} is not a sending domain of this client: {allowed}",
        foreign_from="From domain {domain} is not a sending domain of this client: {allowed}",
    ),
)
