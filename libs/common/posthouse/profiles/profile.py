"""A profile: every knob that may differ between customers, as one frozen value (RULES A6).

The numbers X01 to X19 name the lines of RULES A6. What belongs to a listener (X17, and TLS and
mechanisms before AUTH) or to a credential (how its secret is stored) is not here.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_network

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

_HEADER_NAME = re.compile(r"[!-9;-~]+")
_MOST_COUNTED_DAYS = 90  # what is older is deleted
_MOST_COUNTED_BOUNCES = 100
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class SessionKnobs:
    """Where and how a client may log in (X01, X02, X03); checked at AUTH."""

    allowed_listeners: tuple[str, ...]  # HOST:PORT/MODE; empty: all
    require_tls: bool
    fixed_username: str  # "": each credential has its own
    allowed_networks: tuple[str, ...]  # of clients, as 192.0.2.0/24; empty: all

    def __post_init__(self) -> None:
        for network in self.allowed_networks:
            ip_network(network)


@dataclass(frozen=True, slots=True)
class SenderKnobs:
    """Who a message may be from (X04, X05, X13)."""

    from_policy: FromPolicy
    check: SenderCheck
    check_on: CheckedSender
    empty_list_means: EmptyListMeans
    reply_to: ReplyTo


@dataclass(frozen=True, slots=True)
class RecipientKnobs:
    """Who gets a copy (X06, X07)."""

    policy: RecipientPolicy
    bcc: Bcc


@dataclass(frozen=True, slots=True)
class ConformanceKnobs:
    """What a message must have (X11)."""

    subject: Conformance
    message_id: Conformance
    date: Conformance
    line_endings: Conformance
    eight_bit: Conformance  # octets above 127 in the header


@dataclass(frozen=True, slots=True)
class ControlHeader:
    """One header in which a client tells us what to do; "" for none."""

    name: str
    multiplicity: Multiplicity

    def __post_init__(self) -> None:
        if self.name and not _HEADER_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not the name of a header field")


@dataclass(frozen=True, slots=True)
class ControlKnobs:
    """The headers that this profile obeys (X10); those of all profiles are removed (A6 rule 2)."""

    flags: ControlHeader  # a bitwise integer
    attributes: ControlHeader  # a JSON object
    stream: ControlHeader  # the mailing that a message belongs to


@dataclass(frozen=True, slots=True)
class TagKnobs:
    """How messages are tagged (X09)."""

    header: ControlHeader
    charset: TagCharset
    max_count: int
    max_characters: int  # of each
    default: str  # of a message without tags; "" for none
    on_invalid: OnInvalidTag


@dataclass(frozen=True, slots=True)
class TrackingKnobs:
    """Whether opens and clicks are tracked (X08)."""

    opens: bool
    clicks: bool
    header_overrides: bool  # the flags or attributes of a message win
    bcc: BccTracking


@dataclass(frozen=True, slots=True)
class SuppressionKnobs:
    """Which suppressions apply (X19)."""

    check_unsubscribes: bool
    check_bounces: bool
    check_complaints: bool
    scope: SuppressionScope
    override_allowed: bool  # by flags of a message; never for complaints
    # When failures put an address on the bounce list (E07, M23); a limit of 0 never does.
    hard_limit: int  # deliveries whose mailbox does not exist: it stays until it is removed
    soft_limit: int  # days with a soft bounce: it stays for soft_days
    counted_days: int  # older ones do not count
    soft_days: int

    def __post_init__(self) -> None:
        for days in (self.counted_days, self.soft_days):
            if not 1 <= days <= _MOST_COUNTED_DAYS:
                raise ValueError(f"{days} is not a number of days from 1 to {_MOST_COUNTED_DAYS}")
        for limit in (self.hard_limit, self.soft_limit):
            if limit > _MOST_COUNTED_BOUNCES:
                raise ValueError(f"{limit} is more than {_MOST_COUNTED_BOUNCES}")


@dataclass(frozen=True, slots=True)
class BounceKnobs:
    """Who hears of what was not delivered, besides webhooks (X12).

    Where returned mail is forwarded to is a setting of the account: its bounce address.
    """

    dsn_to_sender: bool  # unless the account turned it off


@dataclass(frozen=True, slots=True)
class PriorityKnobs:
    """Which lane a message may ask for (X16); the limit of its credential applies as well."""

    from_header: bool
    highest: Lane


@dataclass(frozen=True, slots=True)
class SizeKnobs:
    """How large a message may be (X18)."""

    max_message_octets: int | None  # None: as large as the listener allows


@dataclass(frozen=True, slots=True)
class DomainKnobs:
    """How a sending domain is set up (X14)."""

    onboarding: Onboarding


@dataclass(frozen=True, slots=True)
class ReplyTexts:
    """Texts of SMTP replies that differ between profiles (X05, X15), behind code and class."""

    accepted: str
    foreign_sender: str
    foreign_from: str

    def __post_init__(self) -> None:
        _check_text(self.accepted, "id")
        _check_text(self.foreign_sender, "domain", "allowed")
        _check_text(self.foreign_from, "domain", "allowed")


def _check_text(text: str, *known: str) -> None:
    if not text.isascii():
        raise ValueError(f"{text!r} is not ASCII")
    for name in _PLACEHOLDER.findall(text):
        if name not in known:
            allowed = ", ".join(f"{{{name}}}" for name in known)
            raise ValueError(f"{{{name}}} is not known in this text; there is: {allowed}")


@dataclass(frozen=True, slots=True)
class Profile:
    """What a credential resolves to at AUTH; name and revision are stored with every message."""

    name: str
    revision: int  # counts up when a preset changes, so that old decisions can be explained
    session: SessionKnobs
    sender: SenderKnobs
    recipients: RecipientKnobs
    conformance: ConformanceKnobs
    control: ControlKnobs
    tags: TagKnobs
    tracking: TrackingKnobs
    suppression: SuppressionKnobs
    bounces: BounceKnobs
    priority: PriorityKnobs
    size: SizeKnobs
    domain: DomainKnobs
    replies: ReplyTexts
