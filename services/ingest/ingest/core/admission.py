"""Admission: what is decided about a message before its client hears 250.

A rule takes a message and what was decided so far, and gives the next decision or a refusal. The
knobs of a profile choose the rules (`ingest.core.rules`). What they decide is stored with the
submission, so that nothing is read twice.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import NamedTuple, TypeAlias
from uuid import UUID

from ingest.core.message_head import MessageHead
from ingest.core.operator_rules import MOST_AHEAD
from ingest.core.options import NO_OPTIONS, Options
from ingest.core.refusals import Refusal
from posthouse.mail.dsn_request import DsnRequest
from posthouse.mail.lane import Lane
from posthouse.mail.message_flag import Flags, Stream
from posthouse.mail.submission import NO_ATTRIBUTES, Attributes
from posthouse.mail.terms import NO_TERMS, Resubmission, Terms
from posthouse.profiles import Profile


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What a login means for its messages."""

    account_id: UUID
    credential_id: UUID
    username: str
    domains: Collection[str]  # the account's verified ones, and its children's
    child_domains: Mapping[str, UUID]  # those of them that only a child has, and that child
    lane: Lane  # default
    highest_lane: Lane  # that messages may claim
    profile: Profile
    # As they are stored: an account's own profile has other ones than its preset.
    profile_name: str
    profile_revision: int
    streams: Mapping[str, Stream]  # of the account, each by its code in lower case and its name
    sender_flags: Mapping[str, Flags]  # by the normal form of From
    max_message_octets: int
    max_header_octets: int
    rules: "tuple[Rule, ...]"  # of the profile
    line_limit: int | None  # octets that a line of a message may have; None for any number
    cleans_lines: bool  # odd line ends are mended, and not refused
    senders_are_open: bool  # so `domains_of_others.leaves_senders_open` says of the profile
    sandbox_domain: str = ""  # of the relay; "" for none
    relay_names: frozenset[str] = frozenset()  # which its own mail is from
    is_limited: bool = False  # the credential, its account or a child of that has rate limits
    resubmission: Resubmission = Resubmission.OFF
    most_ahead: timedelta = MOST_AHEAD  # that a message may be scheduled
    parent_id: UUID | None = None  # whose user it is, where it sends for one child alone

    @property
    def limited_account(self) -> UUID:
        """Whose rate limits count, beside those of the credential, and of a child it sends for."""
        return self.parent_id or self.account_id


class Incoming(NamedTuple):
    """A message whose client waits for an answer."""

    head: MessageHead
    sender: str  # MAIL FROM
    recipients: tuple[str, ...]  # RCPT TO, in order, each once
    session: SessionFacts
    # Those domains of `domains_of_others.domains_to_ask` that another account has verified.
    owned_elsewhere: Collection[str] = ()
    arrived_at: float = 0.0  # seconds since 1970
    dsn: DsnRequest | None = None  # the parameters of RFC 3461
    options: Options = NO_OPTIONS  # none by SMTP, which has no words for them
    smtputf8: bool = False  # the client asked for it
    notes: tuple[str, ...] = ()  # for the timeline: what was mended before


class Admission(NamedTuple):
    """What is decided about a message so far (a tuple: rules make new ones)."""

    account_id: UUID  # whose lists, keys and events it uses
    lane: Lane
    recipients: tuple[str, ...]  # who gets it, each once
    attributes: Attributes = NO_ATTRIBUTES
    terms: Terms = NO_TERMS


Rule: TypeAlias = Callable[[Incoming, Admission], Admission | Refusal]


def first_decision(message: Incoming) -> Admission:
    """What is true when no rule says otherwise."""
    session = message.session
    attributes = NO_ATTRIBUTES if message.dsn is None else Attributes(dsn=message.dsn)
    if message.notes:
        attributes = replace(attributes, notes=message.notes)
    return Admission(session.account_id, session.lane, message.recipients, attributes)


def admit(message: Incoming) -> Admission | Refusal:
    """The decision about *message* after all rules of its profile, or the first refusal."""
    decided = first_decision(message)
    for rule in message.session.rules:
        result = rule(message, decided)
        if result is decided:  # most rules have nothing to say of most messages
            continue
        if isinstance(result, Refusal):
            return result
        decided = result
    return decided
