"""The request of a submission, read before anything is looked up."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

import idna

from posthouse.mail.address import InvalidAddress
from posthouse.mail.mailbox import mailboxes
from posthouse.mail.message import Field, Header
from posthouse.mail.submission import RecipientKind, Submission
from posthouse.profiles import Profile


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
    """Read the header of *submission* as *profile* understands it.

    Control headers of a profile become typed values here. The native one has none: its envelope
    says everything.
    """
    header = Header.parse(submission.header)
    author = author_field(header)
    return Request(
        submission=submission,
        profile=profile,
        received_at=_received_at(submission),
        header=header,
        author=author,
        recipients=tuple([Recipient(address) for address in submission.recipients]),
        from_domains=domains_by_preference(author, submission.sender),
    )


def author_field(header: Header) -> Field | None:
    """The topmost From field."""
    for field in header.fields:
        if field.name == b"from":
            return field
    return None


def domains_by_preference(author: Field | None, sender: str) -> tuple[str, ...]:
    """The domains that may sign for a message: that of *author*, then that of MAIL FROM."""
    own = _author_domain(author) if author else None
    envelope = _a_labels(sender.rpartition("@")[2].lower())
    if own is None or own == envelope:
        return (envelope,) if envelope else ()
    return (own, envelope) if envelope else (own,)


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
