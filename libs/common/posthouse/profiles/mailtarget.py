"""The preset of those who come from Mailtarget's SMTP relay (RULES A4).

Only From is checked, and a JSON object in X-MT-ATTR says the rest: tracking, tags, more copies.
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

MAILTARGET = Profile(
    name="mailtarget",
    revision=1,
    session=SessionKnobs(
        allowed_listeners=(),
        require_tls=False,  # recommended, not required (T05)
        shared_usernames=("smtp_mt_injection", "SMTP_Injection"),  # the key says whose it is (T02)
        shared_login_failed="Sorry. *** No authentication type succeeded",  # T17
        allowed_networks=(),
    ),
    sender=SenderKnobs(
        from_policy=FromPolicy.KEEP,
        check=SenderCheck.BLOCK,  # T19
        check_on=CheckedSender.FROM,  # MAIL FROM may be anything (T24)
        checked_against=SenderList.VERIFIED,
        authorized_domains=(),
        authorized_senders=(),
        listed_are_verified=False,
        empty_list_means=EmptyListMeans.NONE,
        hosts_of_domains=False,
        null_sender=True,
        single_author=False,
        signed_by="",
        reply_to=ReplyTo.FREE,
    ),
    recipients=RecipientKnobs(
        policy=RecipientPolicy.ATTRIBUTE_ARRAYS,  # T12 to T16
        bcc=Bcc.ON,
    ),
    conformance=ConformanceKnobs(
        required_fields=(),
        refused_fields=(),
        strict_syntax=False,
        repeated_fields=Conformance.IGNORE,  # several Cc are one (T14)
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
        attributes=ControlHeader(name="X-MT-ATTR", multiplicity=Multiplicity.REJECT),  # T09, X10
        stream=_NO_HEADER,
        default_stream="",
        default_campaign="",
    ),
    tags=TagKnobs(  # of the attributes (T21)
        header=_NO_HEADER,
        charset=TagCharset.ANY,
        max_count=10,
        max_characters=255,
        default="",
        on_invalid=OnInvalidTag.REJECT,
        from_subject=False,
        max_subject_characters=0,
    ),
    tracking=TrackingKnobs(
        opens=False,  # T08; an account's own profile may turn them on (T10)
        clicks=False,
        header_overrides=True,  # T10
        bcc=BccTracking.OWN,  # T16
        traffic_source="",
        text_links=False,
        no_track_hosts=(),
    ),
    suppression=SuppressionKnobs(
        check_unsubscribes=True,
        check_bounces=True,
        check_complaints=True,
        scope=SuppressionScope.ACCOUNT,
        override_allowed=True,  # skip_suppression (T21)
        unsubscribe_fields=True,  # T21
        hard_limit=1,
        soft_limit=3,
        counted_days=14,
        soft_days=7,
    ),
    bounces=BounceKnobs(
        dsn_to_sender=False,  # MAIL FROM may be a stranger's (T24)
        address_required=False,
        aligned_return_path=False,
    ),
    priority=PriorityKnobs(
        from_header=False,
        neutral_counts=False,
        highest=Lane.VERY_HIGH,
        highest_of_user=Lane.HIGH,
        fields_show_lane=False,
    ),
    size=SizeKnobs(max_message_octets=None),
    domain=DomainKnobs(onboarding=Onboarding.RECORDS),  # T26
    sandbox=SandboxKnobs(allowed=True, most_messages=5, deliver_to_confirmed=False),
    replies=ReplyTexts(
        accepted="Ok: queued as {id}",
        foreign_sender="Unconfigured Sending Domain <{domain}>",
        foreign_from="Unconfigured Sending Domain <{domain}>",  # T19
    ),
)
