"""What ingest checks in an envelope and a message, up to the submission or the refusal.

A profile is a tuple of checks. A check takes the head of a message and facts about its session, and
gives a refusal or None.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, assert_never
from uuid import UUID

from ingest.core import refusals
from ingest.core.refusals import Reason, Refusal
from posthouse.mail.address import Address, InvalidAddress
from posthouse.mail.lane import Lane
from posthouse.mail.mailbox import mailboxes
from posthouse.mail.message import Field, Header
from posthouse.mail.submission import Submission
from posthouse.profiles import Profile
from posthouse.profiles.choices import CheckedSender, EmptyListMeans, SenderCheck
from posthouse.smtp.data import LINE_LIMIT, Flaw
from posthouse.smtp.session_state import MessageReceived

_MAX_HOPS = 50

# Headers that ask for a priority, in the order in which they are believed (RULES U10).
_PRIORITY_HEADERS = (b"x-priority", b"importance", b"priority", b"x-msmail-priority")
_NUMBER = re.compile(r"([1-5])(?!\d)")
# A scale of three words says less than one of five numbers: the ends stay with the numbers.
_WORDS = {
    "high": Lane.HIGH,
    "urgent": Lane.HIGH,
    "normal": Lane.NORMAL,
    "low": Lane.LOW,
    "non-urgent": Lane.LOW,
}


class MessageHead:
    """The header of a message, parsed once; its fields by name."""

    __slots__ = ("_by_name", "octets")

    def __init__(self, octets: bytes, header: Header) -> None:
        """*octets*: the header as it came, with the empty line that ends it."""
        self.octets = octets
        self._by_name: dict[bytes, list[Field]] = {}
        for field in header.fields:
            if field[0] in self._by_name:
                self._by_name[field[0]].append(field)
            else:
                self._by_name[field[0]] = [field]

    def fields(self, name: bytes) -> Sequence[Field]:
        """The fields called *name*, in lower case, from the top."""
        return self._by_name.get(name, ())


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
    max_message_octets: int
    max_header_octets: int
    checks: "tuple[Check, ...]"  # of the profile


Check: TypeAlias = Callable[[MessageHead, SessionFacts], Refusal | None]


def checks(profile: Profile) -> tuple[Check, ...]:
    """What is checked in each message of *profile*, in this order."""
    sender = profile.sender
    own = sender.check is SenderCheck.BLOCK and sender.check_on is not CheckedSender.MAIL_FROM
    return (refuse_loop, RequireAuthor(own_domain=own))


def first_refusal(head: MessageHead, facts: SessionFacts) -> Refusal | None:
    """What the first check of the profile that refuses says; None when all pass."""
    for check in facts.checks:
        if (refusal := check(head, facts)) is not None:
            return refusal
    return None


def head_and_body(pieces: Sequence[bytes], limit: int) -> tuple[MessageHead, bytes] | Refusal:
    """The message whose whole lines are in *pieces*; its body is copied once at most.

    A header of more than *limit* octets is refused before it is parsed.
    """
    first = pieces[0] if pieces else b""
    # Enough to see whether the header ends within its limit.
    header, end = Header.read(first if len(first) <= 2 * limit else first[: 2 * limit])
    if end + 2 > limit:
        return refusals.header_too_big(limit)
    ends_well = first.startswith(b"\r\n", end)
    octets = first[: end + 2] if ends_well else first[:end] + b"\r\n"
    body = first[end + 2 :] if ends_well else first[end:]
    if len(pieces) > 1:
        body = b"".join((body, *pieces[1:]))
    return MessageHead(octets, header), body


# The envelope.


def check_sender(sender: Address | None, facts: SessionFacts) -> Refusal | None:
    """Judge MAIL FROM; None is the null reverse-path."""
    if sender is None:
        return refusals.NULL_SENDER
    knobs = facts.profile.sender
    if knobs.check is not SenderCheck.BLOCK or knobs.check_on is CheckedSender.FROM:
        return None
    return _check_domain(sender, facts, Reason.SENDER)


def _check_domain(address: Address, facts: SessionFacts, reason: Reason) -> Refusal | None:
    """Exact match: a verified domain says nothing about its subdomains (RULES U13)."""
    domains, profile = facts.domains, facts.profile
    if address.domain in domains or address.ascii_domain in domains:
        return None
    if not domains and profile.sender.empty_list_means is EmptyListMeans.ALL:
        return None
    texts = profile.replies
    text = texts.foreign_sender if reason is Reason.SENDER else texts.foreign_from
    return refusals.foreign_domain(reason, text, address.ascii_domain, domains)


# The message.


def refuse_loop(head: MessageHead, _: SessionFacts) -> Refusal | None:
    """A message that passed this many servers goes round in circles (RFC 5321 section 6.3)."""
    return refusals.LOOP if len(head.fields(b"received")) > _MAX_HOPS else None


@dataclass(frozen=True, slots=True)
class RequireAuthor:
    """Require one From header, which can be read in one way only."""

    own_domain: bool  # and each author at a verified domain

    def __call__(self, head: MessageHead, facts: SessionFacts) -> Refusal | None:
        """As a check."""
        fields = head.fields(b"from")
        if len(fields) != 1:
            return refusals.SEVERAL_AUTHOR_FIELDS if fields else refusals.NO_AUTHOR
        try:
            authors = mailboxes(fields[0].value)
        except InvalidAddress as error:
            return refusals.unreadable_author(error)
        if self.own_domain:
            for author in authors:
                if refusal := _check_domain(author.address, facts, Reason.AUTHOR):
                    return refusal
        return None


# The account. The key of a parent may send for its children.


def choose_account(head: MessageHead, sender: str, facts: SessionFacts) -> UUID:
    """The account that has the domain of From, or else of MAIL FROM; the credential's own first.

    Lists, DKIM keys and events of the message are those of that account.
    """
    if not facts.child_domains:
        return facts.account_id
    authors = mailboxes(head.fields(b"from")[0].value)
    for address in (*(author.address for author in authors), Address.parse(sender)):
        for domain in (address.domain, address.ascii_domain):
            if domain in facts.domains:
                return facts.child_domains.get(domain, facts.account_id)
    return facts.account_id


# The lane (DESIGN section 4, RULES U08 to U10).


def choose_lane(head: MessageHead, facts: SessionFacts) -> Lane:
    """The higher of the credential's default and what the message asks for, within its limits."""
    knobs = facts.profile.priority
    wanted = requested_lane(head) if knobs.from_header else None
    lane = facts.lane if wanted is None else min(facts.lane, wanted)
    return max(lane, facts.highest_lane, knobs.highest)


def requested_lane(head: MessageHead) -> Lane | None:
    """The lane that a header asks for; a value that is not understood counts as not given."""
    for name in _PRIORITY_HEADERS:
        fields = head.fields(name)
        if not fields:
            continue
        value = fields[0].value  # of several the topmost counts
        if number := _NUMBER.match(value):
            return Lane(int(number[1]))
        if word := _WORDS.get(value.lower()):
            return word
    return None


# The submission.


class Client(NamedTuple):
    """What the Received header of a message says about its client."""

    address: str
    helo: str
    tls: str


def submission_or_refusal(
    message: MessageReceived, facts: SessionFacts, client: Client, id_: UUID
) -> Submission | Refusal:
    """What is stored as *id_*, when all checks of the profile pass."""
    if isinstance(message.content, Flaw):
        return _refusal_for(message.content, facts.max_message_octets)
    found = head_and_body(message.content, facts.max_header_octets)
    if isinstance(found, Refusal):
        return found
    head, body = found
    if (refusal := first_refusal(head, facts)) is not None:
        return refusal
    return Submission(
        id=id_,
        account_id=choose_account(head, message.envelope.sender, facts),
        credential_id=facts.credential_id,
        profile=facts.profile_name,
        profile_revision=facts.profile_revision,
        lane=choose_lane(head, facts),
        sender=message.envelope.sender,
        recipients=tuple(message.envelope.recipients),
        smtputf8=message.envelope.smtputf8,
        client=client.address,
        helo=client.helo,
        tls=client.tls,
        header=head.octets,
        body=body,
    )


def _refusal_for(flaw: Flaw, limit: int) -> Refusal:
    match flaw:
        case Flaw.TOO_BIG:
            return refusals.too_big(limit)
        case Flaw.BARE_LINE_END:
            return refusals.BARE_LINE_END
        case Flaw.LONG_LINE:
            return refusals.line_too_long(LINE_LIMIT)
        case _:
            assert_never(flaw)
