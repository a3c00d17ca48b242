"""The knobs of a profile, in groups (RULES A6).

The numbers X01 to X19 name the lines of RULES A6. What belongs to a listener (X17, and TLS and
mechanisms before AUTH) or to a credential (how its secret is stored) is not here.
"""

import re
from dataclasses import dataclass, field
from ipaddress import ip_network

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
from posthouse.profiles.sender_lists import (
    read_address_or_nothing,
    read_addresses,
    read_domains,
)

_NEEDING_SENDER = (FromPolicy.REWRITE_FROM_ENVELOPE, FromPolicy.REQUIRE_EQUAL)
_HEADER_NAME = re.compile(r"[!-9;-~]+")
_MOST_COUNTED_DAYS = 90  # what is older is deleted
_MOST_COUNTED_BOUNCES = 100
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class SessionKnobs:
    """Where and how a client may log in (X01, X02, X03); checked at AUTH."""

    allowed_listeners: tuple[str, ...]  # HOST:PORT/MODE; empty: all
    require_tls: bool
    # User names that all clients may give, in any case: the secret says who it is (T02). Those of
    # the presets count, because before a login it is not known whose profile applies.
    shared_usernames: tuple[str, ...]
    shared_login_failed: str  # the text of 535 to a login under one of them
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
    checked_against: SenderList
    # The lists of SenderList.AUTHORIZED (U13, U14): domains, which match exactly, and addresses.
    authorized_domains: tuple[str, ...] = field(metadata={"read": read_domains})
    authorized_senders: tuple[str, ...] = field(metadata={"read": read_addresses})
    listed_are_verified: bool  # an entry counts once its domain is verified for the account (U18)
    empty_list_means: EmptyListMeans
    # At a host of a verified domain, as root@web1.example.com: counts as at that domain, unless
    # another account has verified a name between.
    hosts_of_domains: bool
    # The null reverse-path is taken (RFC 6409 section 3.2) if From is at a domain of the account,
    # and from_policy needs no address in MAIL FROM.
    null_sender: bool
    single_author: bool  # From names one address (E13)
    # The address that a Sender field names; "" for one of the relay (C14, C17).
    signed_by: str = field(metadata={"read": read_address_or_nothing})
    reply_to: ReplyTo

    @property
    def takes_null_sender(self) -> bool:
        """Whether a message may come from nobody."""
        return self.null_sender and self.from_policy not in _NEEDING_SENDER


@dataclass(frozen=True, slots=True)
class RecipientKnobs:
    """Who gets a copy (X06, X07)."""

    policy: RecipientPolicy
    bcc: Bcc


@dataclass(frozen=True, slots=True)
class ConformanceKnobs:
    """What a message must have (X11)."""

    required_fields: tuple[str, ...]  # in any case (C09)
    refused_fields: tuple[str, ...]  # (E14, E20)
    strict_syntax: bool  # lines of a header that are no field, and unreadable addresses (C10)
    repeated_fields: Conformance  # several where one is allowed; repair: copies count once
    subject: Conformance  # how it is encoded (C11)
    message_id: Conformance
    date: Conformance
    line_endings: LineEndings  # a listener may refuse what this cleans
    long_lines: Conformance  # of over 998 octets; ignore: they are passed on
    # Octets above 127 in the header, where the client did not ask for SMTPUTF8; repair: text is
    # written as encoded words.
    eight_bit: Conformance


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

    own: bool  # X-Posthouse-Tag and the others of our own
    flags: ControlHeader  # a bitwise integer
    attributes: ControlHeader  # a JSON object
    stream: ControlHeader  # the mailing that a message belongs to
    default_stream: str  # of messages that name none (E05); "" for none
    default_campaign: str  # of messages whose attributes name none (U20); "" for none


@dataclass(frozen=True, slots=True)
class TagKnobs:
    """How messages are tagged (X09)."""

    header: ControlHeader
    charset: TagCharset
    max_count: int
    max_characters: int  # of each
    default: str  # of a message without tags; "" for none
    on_invalid: OnInvalidTag
    from_subject: bool  # "[tag: a, b] Text" tags the message, and "Text" is delivered (C24)
    max_subject_characters: int  # of the Subject with the tags in it; 0 for any


@dataclass(frozen=True, slots=True)
class TrackingKnobs:
    """Whether opens and clicks are tracked (X08)."""

    opens: bool
    clicks: bool
    header_overrides: bool  # the flags or attributes of a message win
    bcc: BccTracking
    # The traffic source (utm_source) of links in a message without tags, in others it is the first
    # tag (C21, C22); "" for none in any.
    traffic_source: str
    text_links: bool  # links in text/plain are tracked too
    # Links to these hosts and all below them are not tracked.
    no_track_hosts: tuple[str, ...] = field(metadata={"read": read_domains})


@dataclass(frozen=True, slots=True)
class SuppressionKnobs:
    """Which suppressions apply (X19)."""

    check_unsubscribes: bool
    check_bounces: bool
    check_complaints: bool
    scope: SuppressionScope
    override_allowed: bool  # by flags of a message; never for complaints
    # Messages say how to unsubscribe from them (List-Unsubscribe), unless their stream or sender
    # says otherwise, or they are transactional (T21).
    unsubscribe_fields: bool
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
    address_required: bool  # no credential without one (E04)
    aligned_return_path: bool  # at the domain of From or below it, else nothing is sent (E20)


@dataclass(frozen=True, slots=True)
class PriorityKnobs:
    """Which lane a message may ask for (X16); the limit of its credential applies as well."""

    from_header: bool
    neutral_counts: bool  # "3" or "normal" asks for lane 3; False: it asks for nothing
    highest: Lane
    highest_of_user: Lane  # of a credential that is made without a limit of its own
    fields_show_lane: bool  # recipients see the lane that it had in priority fields (U12)


@dataclass(frozen=True, slots=True)
class SizeKnobs:
    """How large a message may be (X18)."""

    max_message_octets: int | None  # None: as large as the listener allows


@dataclass(frozen=True, slots=True)
class DomainKnobs:
    """How a sending domain is set up (X14)."""

    onboarding: Onboarding


@dataclass(frozen=True, slots=True)
class SandboxKnobs:
    """What an account may send from the sandbox domain of the relay, if that has one (T11)."""

    allowed: bool
    most_messages: int  # in all the life of the account, whichever profile they had
    deliver_to_confirmed: bool  # recipients that are confirmed get them; others never do


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
