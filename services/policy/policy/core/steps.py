"""What is done to a message, one step at a time; a profile is a tuple of steps.

A step takes a draft and facts and gives a draft or a refusal. It never mutates.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import TypeAlias

from posthouse.mail.message import Field, Header, field
from posthouse.mail.submission import Submission
from posthouse.profiles.native import NATIVE

_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9])?\.?")
_LITERAL = re.compile(r"\[[A-Za-z0-9.:]{2,60}\]")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a message besides itself; gathered before the first step."""

    submission: Submission
    received_at: datetime  # UTC
    hostname: str  # ours
    domain: str  # the message speaks for it
    suppressed: frozenset[str]  # of the recipients, exactly as the submission names them


@dataclass(frozen=True, slots=True)
class Draft:
    """The message so far."""

    header: Header
    recipients: tuple[str, ...]
    suppressed: tuple[str, ...] = ()

    def having(self, header: Header) -> "Draft":
        """This draft under another header; `dataclasses.replace` takes three times as long."""
        return Draft(header, self.recipients, self.suppressed)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The message is not sent, to nobody; *reason* is for its sender."""

    reason: str


Step: TypeAlias = Callable[[Draft, Facts], Draft | Refusal]


@dataclass(frozen=True, slots=True)
class RefuseLoops:
    """A message that passed *most_hops* servers goes round in circles (RFC 5321 section 6.3)."""

    most_hops: int

    def __call__(self, draft: Draft, facts: Facts) -> Draft | Refusal:
        """Refuse when there are more Received fields than that."""
        del facts
        hops = len([field for field in draft.header.fields if field.name == b"received"])
        if hops > self.most_hops:
            return Refusal(f"554 5.4.6 mail loop: {hops} Received fields, {self.most_hops} allowed")
        return draft


@dataclass(frozen=True, slots=True)
class Strip:
    """Remove every field called one of *names*, or beginning with *prefix* (both lower case)."""

    names: frozenset[bytes]
    prefix: bytes

    def __call__(self, draft: Draft, facts: Facts) -> Draft:
        """Drop the fields; those that stay keep their order and octets."""
        del facts
        fields = draft.header.fields
        kept = [
            f for f in fields if f.name not in self.names and not f.name.startswith(self.prefix)
        ]
        return draft if len(kept) == len(fields) else draft.having(Header(tuple(kept)))


def drop_suppressed(draft: Draft, facts: Facts) -> Draft:
    """Recipients on the account's suppression list get no delivery, and an event instead."""
    if not facts.suppressed:
        return draft
    return replace(
        draft,
        recipients=tuple(r for r in draft.recipients if r not in facts.suppressed),
        suppressed=tuple(r for r in draft.recipients if r in facts.suppressed),
    )


def complete_from(draft: Draft, facts: Facts) -> Draft | Refusal:
    """A message without From is from its envelope sender (RFC 6409 section 8.1).

    Without either nobody can be named, and no signature can be made (RFC 6376 section 5.4).
    """
    if draft.header.first("From"):
        return draft
    if not facts.submission.sender:
        return Refusal("554 5.6.0 no From field, and no envelope sender to take its place")
    return _with(draft, "From", f"<{facts.submission.sender}>")


def complete_date(draft: Draft, facts: Facts) -> Draft:
    """A message without Date was written when we got it (RFC 6409 section 8.2)."""
    if draft.header.first("Date"):
        return draft
    return _with(draft, "Date", _date(facts.received_at))


def complete_message_id(draft: Draft, facts: Facts) -> Draft:
    """A message without Message-ID gets one under its sender's domain (RFC 6409 section 8.3).

    Made of the submission's id, so that preparing it again gives the same.
    """
    if draft.header.first("Message-ID"):
        return draft
    return _with(draft, "Message-ID", f"<{facts.submission.id}@{facts.domain}>")


def _with(draft: Draft, name: str, value: str) -> Draft:
    """*draft* with *name* completed; an empty field of that name gives way."""
    return draft.having(draft.header.replace(name, value))


def add_received(draft: Draft, facts: Facts) -> Draft:
    """Our trace field on top (RFC 5321 section 4.4), in keywords of RFC 3848 and RFC 6531."""
    submission = facts.submission
    protocol = "UTF8SMTP" if submission.smtputf8 else "ESMTP"
    way = _way(
        submission.helo,
        submission.client,
        facts.hostname,
        f"{protocol}{'S' if submission.tls else ''}A",
    )
    # Of our own making and of known length: they need no check, and fit on one line.
    rest = f" id {submission.id.hex}; {_date(facts.received_at)}\r\n".encode()
    return draft.having(Header((Field(b"received", way + rest), *draft.header.fields)))


@lru_cache(maxsize=1024)  # an application's machines are few, and this costs 15 µs
def _way(helo: str, client: str, hostname: str, protocol: str) -> bytes:
    """The lines of a Received field that say who gave what to whom, checked and folded."""
    return field("Received", f"from {_client(helo, client)} by {hostname} with {protocol}").raw


@lru_cache(maxsize=64)  # the same for all that comes within a second
def _date(when: datetime) -> str:
    return format_datetime(when)


def _client(helo: str, client: str) -> str:
    """The client's name for itself, with its address unless that is of no network of the world.

    A private address tells receivers nothing and strangers how the customer's network looks.
    """
    name = helo if _HOST_NAME.fullmatch(helo) or _LITERAL.fullmatch(helo) else "unknown"
    try:
        address = ip_address(client)
    except ValueError:
        return name
    if not address.is_global:
        return name
    return f"{name} ([{'IPv6:' if address.version == 6 else ''}{address}])"  # noqa: PLR2004


# Not for readers: who else got it (RFC 5322 3.6.3), what only the last server may write (RFC 5321
# 4.4), and what a client says to us.
_HIDDEN = Strip(frozenset({b"bcc", b"resent-bcc", b"return-path"}), prefix=b"x-posthouse-")

STEPS: dict[str, tuple[Step, ...]] = {  # by the name of their profile
    NATIVE.name: (
        RefuseLoops(most_hops=50),
        _HIDDEN,
        complete_from,
        complete_date,
        complete_message_id,
        add_received,
        drop_suppressed,
    ),
}


def take(steps: tuple[Step, ...], draft: Draft, facts: Facts) -> Draft | Refusal:
    """*draft* after all *steps*, or the first refusal."""
    for step in steps:
        result = step(draft, facts)
        if isinstance(result, Refusal):
            return result
        draft = result
    return draft
