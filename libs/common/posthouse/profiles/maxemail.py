"""The preset of those who come from Maxemail's Transactional SMTP (RULES A2).

From becomes the envelope sender, one recipient and one Bcc get a copy, and flags are a number.
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

MAXEMAIL = Profile(
    name="maxemail",
    revision=1,
    session=SessionKnobs(
        allowed_listeners=(),
        require_tls=True,  # encryption is enforced on every port (M04, M05)
        shared_usernames=(),  # each has its own, an e-mail address (M01)
        shared_login_failed="",
        allowed_networks=(),
    ),
    sender=SenderKnobs(
        from_policy=FromPolicy.REWRITE_FROM_ENVELOPE,  # M08, M09
        check=SenderCheck.BLOCK,  # M07
        check_on=CheckedSender.MAIL_FROM,
        checked_against=SenderList.VERIFIED,
        authorized_domains=(),
        authorized_senders=(),
        listed_are_verified=False,
        empty_list_means=EmptyListMeans.NONE,
        hosts_of_domains=False,
        null_sender=False,  # M07
        single_author=False,
        signed_by="",
        reply_to=ReplyTo.FREE,
    ),
    recipients=RecipientKnobs(
        policy=RecipientPolicy.FIRST_TO_AND_ONE_BCC,  # M11 to M13
        bcc=Bcc.FIRST_ONLY,
    ),
    conformance=ConformanceKnobs(
        required_fields=(),
        refused_fields=(),
        strict_syntax=False,
        repeated_fields=Conformance.IGNORE,  # of several To the first counts (M11)
        subject=Conformance.IGNORE,
        message_id=Conformance.REPAIR,
        date=Conformance.REPAIR,
        line_endings=LineEndings.CLEAN,
        long_lines=Conformance.IGNORE,
        eight_bit=Conformance.REPAIR,
    ),
    control=ControlKnobs(
        own=False,
        flags=ControlHeader(name="X-Mxm-Flags", multiplicity=Multiplicity.FIRST),  # M17, M18
        attributes=_NO_HEADER,
        stream=_NO_HEADER,
        default_stream="",
        default_campaign="",
    ),
    tags=TagKnobs(  # free text, as often as wanted (M21); the limits are ours
        header=ControlHeader(name="X-Mxm-Tag", multiplicity=Multiplicity.APPEND),
        charset=TagCharset.ANY,
        max_count=100,
        max_characters=255,
        default="",
        on_invalid=OnInvalidTag.DROP,
        from_subject=False,
        max_subject_characters=0,
    ),
    tracking=TrackingKnobs(
        opens=False,  # of the customer space, which overrides them (M19)
        clicks=False,
        header_overrides=True,
        bcc=BccTracking.NONE,  # M14
        traffic_source="",
        text_links=False,
        no_track_hosts=(),
    ),
    suppression=SuppressionKnobs(
        check_unsubscribes=True,
        check_bounces=True,
        check_complaints=True,
        scope=SuppressionScope.ACCOUNT,  # both lists apply to all mail (M23)
        override_allowed=True,  # M17
        unsubscribe_fields=False,
        hard_limit=3,  # M23
        soft_limit=0,  # only permanent bounces count
        counted_days=90,
        soft_days=7,
    ),
    bounces=BounceKnobs(
        dsn_to_sender=False,  # bounces are the provider's business (M10)
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
    domain=DomainKnobs(onboarding=Onboarding.TRUSTED),  # a list of allowed domains (M07)
    sandbox=SandboxKnobs(allowed=True, most_messages=5, deliver_to_confirmed=False),
    replies=ReplyTexts(
        accepted="Ok: queued as {id}",  # M16
        foreign_sender="Sender domain {domain} is not one of your allowed domains: {allowed}",
        foreign_from="From domain {domain} is not one of your allowed domains: {allowed}",
    ),
)
