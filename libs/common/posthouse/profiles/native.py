"""The preset of Posthouse itself: nothing is done that the client did not ask for."""

from posthouse.mail.lane import Lane
from posthouse.profiles.choices import (
    Bcc,
    BccTracking,
    CheckedSender,
    Conformance,
    EmptyListMeans,
    FromPolicy,
    Multiplicity,
    Onboarding,
    OnInvalidTag,
    RecipientPolicy,
    ReplyTo,
    SenderCheck,
    SuppressionScope,
    TagCharset,
)
from posthouse.profiles.profile import (
    BounceKnobs,
    ConformanceKnobs,
    ControlHeader,
    ControlKnobs,
    DomainKnobs,
    PriorityKnobs,
    Profile,
    RecipientKnobs,
    ReplyTexts,
    SenderKnobs,
    SessionKnobs,
    SizeKnobs,
    SuppressionKnobs,
    TagKnobs,
    TrackingKnobs,
)

_NO_HEADER = ControlHeader(name="", multiplicity=Multiplicity.REJECT)

NATIVE = Profile(
    name="native",
    revision=1,
    session=SessionKnobs(
        allowed_listeners=(),
        require_tls=False,
        fixed_username="",
        allowed_networks=(),
    ),
    sender=SenderKnobs(
        from_policy=FromPolicy.KEEP,
        check=SenderCheck.BLOCK,
        check_on=CheckedSender.BOTH,
        empty_list_means=EmptyListMeans.NONE,
        reply_to=ReplyTo.FREE,
    ),
    recipients=RecipientKnobs(policy=RecipientPolicy.RFC, bcc=Bcc.ON),
    conformance=ConformanceKnobs(
        subject=Conformance.IGNORE,
        message_id=Conformance.REPAIR,
        date=Conformance.REPAIR,
        line_endings=Conformance.REQUIRE,
        eight_bit=Conformance.IGNORE,
    ),
    control=ControlKnobs(flags=_NO_HEADER, attributes=_NO_HEADER, stream=_NO_HEADER),
    tags=TagKnobs(
        header=_NO_HEADER,
        charset=TagCharset.LETTERS_DIGITS_HYPHEN,
        max_count=10,
        max_characters=64,
        default="",
        on_invalid=OnInvalidTag.REJECT,
    ),
    tracking=TrackingKnobs(opens=False, clicks=False, header_overrides=False, bcc=BccTracking.NONE),
    suppression=SuppressionKnobs(
        check_unsubscribes=True,
        check_bounces=True,
        check_complaints=True,
        scope=SuppressionScope.ACCOUNT,
        override_allowed=False,
        hard_limit=1,
        soft_limit=3,
        counted_days=14,
        soft_days=7,
    ),
    bounces=BounceKnobs(dsn_to_sender=True),
    priority=PriorityKnobs(from_header=True, highest=Lane.VERY_HIGH),
    size=SizeKnobs(max_message_octets=None),
    domain=DomainKnobs(onboarding=Onboarding.RECORDS),
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
