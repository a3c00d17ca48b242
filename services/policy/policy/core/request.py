"""The request of a submission, read before anything is looked up."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

import idna

from posthouse.mail.address import InvalidAddress, domains_above
from posthouse.mail.mailbox import mailboxes
from posthouse.mail.message import Field, Header
from posthouse.mail.submission import RecipientKind, Submission
from posthouse.profiles import Profile
from posthouse.profiles.choices import FromPolicy


class Recipient(NamedTuple):
    """A recipient of a copy, and why it gets one."""

    address: str
    kind: RecipientKind = RecipientKind.TO


@dataclass(frozen=True, slots=True)
class Request:
    """A submission in the words of its profile."""

    submission: Submission
    profile: Profile
    received_at: datetime  # UTC, to the second
    header: Header
    author: Field | None  # the topmost From of the header
    recipients: tuple[Recipient, ...]
    # Every domain that From may name when the steps are done, first choice first: facts are
    # gathered for these and no others.
    from_domains: tuple[str, ...]


def read(submission: Submission, profile: Profile) -> Request:
    """Read the header of *submission*; what its control headers say was read at admission."""
    header = Header.parse(submission.header)
    author = author_field(header)
    return Request(
        submission=submission,
        profile=profile,
        received_at=_received_at(submission),
        header=header,
        author=author,
        recipients=_recipients(submission),
        from_domains=signing_domains(author, submission, profile),
    )


def _recipients(submission: Submission) -> tuple[Recipient, ...]:
    kinds = submission.attributes.kinds
    if not kinds:
        return tuple([Recipient(address) for address in submission.recipients])
    return tuple([Recipient(a, kinds.get(a, RecipientKind.TO)) for a in submission.recipients])


def author_field(header: Header) -> Field | None:
    """The topmost From field."""
    for field in header.fields:
        if field.name == b"from":
            return field
    return None


def signing_domains(
    author: Field | None, submission: Submission, profile: Profile
) -> tuple[str, ...]:
    """The domains that may sign for a message under *author*, first choice first.

    Where hosts of domains may send, those domains sign for them.
    """
    domains = domains_by_preference(author, other_signer(submission, profile))
    if not profile.sender.hosts_of_domains:
        return domains
    named = (name for domain in domains for name in (domain, *domains_above(domain)))
    return tuple(dict.fromkeys(named))


def other_signer(submission: Submission, profile: Profile) -> str:
    """The address whose domain signs where that of From cannot; "" for none.

    That is MAIL FROM, or the address that a Sender field names (C16).
    """
    if profile.sender.from_policy is FromPolicy.KEEP_AND_ADD_SENDER:
        return profile.sender.signed_by
    return submission.sender


def domains_by_preference(author: Field | None, other: str) -> tuple[str, ...]:
    """The domains that may sign for a message: that of *author*, then that of *other*."""
    own = _author_domain(author) if author else None
    second = _a_labels(other.rpartition("@")[2].lower())
    if own is None or own == second:
        return (second,) if second else ()
    return (own, second) if second else (own,)


@lru_cache(maxsize=256)  # an application sends as a few
def _author_domain(author: Field) -> str | None:
    """The domain of the first mailbox in From; None when the field cannot be read in one way."""
    try:
        return mailboxes(author.value)[0].address.ascii_domain
    except InvalidAddress:
        return None


def _a_labels(domain: str) -> str:
    """*domain* with the A-labels of an IDN, as sending domains are stored (RFC 8616)."""
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode()
    except UnicodeError:
        return domain  # no sending domain is called so: the look-up will find none


def _received_at(submission: Submission) -> datetime:
    """The second in which it came: a UUIDv7 begins with milliseconds since 1970 (RFC 9562)."""
    return _second((submission.id.int >> 80) // 1000)


@lru_cache(maxsize=64)  # one object for every message of a second, which caches of its text share
def _second(since_1970: int) -> datetime:
    return datetime.fromtimestamp(since_1970, UTC)
