"""The preset `critsend`: From stays, a Sender says who sends; tags (RULES C01 to C27)."""

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

CRITSEND = Profile(
    name="critsend",
    revision=1,
    session=SessionKnobs(
        allowed_listeners=(),
        require_tls=False,  # C04
        shared_usernames=(),
        shared_login_failed="",
        allowed_networks=(),
    ),
    sender=SenderKnobs(
        # Any From is taken; one that is not at the Signed-by domain gets a Sender (C14 to C17).
        from_policy=FromPolicy.KEEP_AND_ADD_SENDER,
        check=SenderCheck.OFF,
        check_on=CheckedSender.BOTH,
        checked_against=SenderList.VERIFIED,
        authorized_domains=(),
        authorized_senders=(),
        listed_are_verified=False,
        empty_list_means=EmptyListMeans.ALL,
        hosts_of_domains=False,
        null_sender=True,
        single_author=False,
        signed_by="",  # the Delivery settings of an account name it
        reply_to=ReplyTo.FREE,
    ),
    recipients=RecipientKnobs(policy=RecipientPolicy.RFC, bcc=Bcc.OFF),  # C12
    conformance=ConformanceKnobs(
        required_fields=("From", "To", "Subject"),  # C09
        refused_fields=(),
        strict_syntax=True,  # C10
        repeated_fields=Conformance.REQUIRE,  # C10
        subject=Conformance.REPAIR,
        message_id=Conformance.REPAIR,
        date=Conformance.REPAIR,
        line_endings=LineEndings.CLEAN,
        long_lines=Conformance.IGNORE,
        eight_bit=Conformance.REPAIR,
    ),
    control=ControlKnobs(
        own=False,
        flags=_NO_HEADER,
        attributes=_NO_HEADER,
        stream=_NO_HEADER,
        default_stream="",
        default_campaign="",
    ),
    tags=TagKnobs(
        header=ControlHeader(name="X-Tag", multiplicity=Multiplicity.APPEND),
        charset=TagCharset.LETTERS_DIGITS_HYPHEN,  # C20
        max_count=100,
        max_characters=64,  # C23
        default="default",  # C23
        on_invalid=OnInvalidTag.DROP,
        from_subject=True,  # C24
        max_subject_characters=245,
    ),
    tracking=TrackingKnobs(
        opens=True,
        clicks=True,  # C22
        header_overrides=False,
        bcc=BccTracking.SAME_AS_TO,
        traffic_source="email",  # C22
        text_links=False,
        no_track_hosts=(),
    ),
    suppression=SuppressionKnobs(
        check_unsubscribes=True,
        check_bounces=True,
        check_complaints=True,
        scope=SuppressionScope.TAG,  # C25
        override_allowed=False,
        unsubscribe_fields=False,
        hard_limit=1,
        soft_limit=0,  # C27: a soft bounce suppresses nothing
        counted_days=14,
        soft_days=7,
    ),
    bounces=BounceKnobs(dsn_to_sender=True, address_required=False, aligned_return_path=False),
    priority=PriorityKnobs(
        from_header=False,
        neutral_counts=False,
        highest=Lane.VERY_HIGH,
        highest_of_user=Lane.HIGH,
        fields_show_lane=False,
    ),
    size=SizeKnobs(max_message_octets=10_485_760),
    domain=DomainKnobs(onboarding=Onboarding.RECORDS),
    sandbox=SandboxKnobs(allowed=True, most_messages=5, deliver_to_confirmed=False),
    replies=ReplyTexts(
        accepted="Ok: queued as {id}",
        foreign_sender=(
            "Sender domain {domain} is not one of this account's verified domains: {allowed}"
        ),
        foreign_from=(
            "From domain {domain} is not one of this account's verified domains: {allowed}"
        ),
    ),
)
