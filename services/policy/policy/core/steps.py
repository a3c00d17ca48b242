"""The steps that make a message final; the knobs of its profile choose them.

A step takes a draft and facts and returns a draft or a rejection. It changes nothing in place.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple, TypeAlias

from policy.core.facts import Facts, naming_domain
from policy.core.request import Recipient, Request, author_field, domains_by_preference
from posthouse.mail.header_text import encode_text
from posthouse.mail.message import Field, Header, field
from posthouse.mail.suppression_list import (
    SuppressedRecipient,
    Suppression,
    SuppressionList,
    stream_scope,
    tag_scope,
)
from posthouse.profiles import Profile
from posthouse.profiles.choices import Conformance, SuppressionScope

_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9])?\.?")
_LITERAL = re.compile(r"\[[A-Za-z0-9.:]{2,60}\]")


class Copy(NamedTuple):
    """One form of the message, and who gets it in that form (a tuple: each step makes one)."""

    header: Header
    recipients: tuple[Recipient, ...]
    body: bytes | None = None  # None: as it came


class Draft(NamedTuple):
    """The message so far, in as many copies as recipients must see different ones."""

    request: Request
    copies: tuple[Copy, ...]
    suppressed: tuple[SuppressedRecipient, ...] = ()

    @classmethod
    def of(cls, request: Request) -> "Draft":
        """The message as it came, the same for all recipients."""
        return cls(request, (Copy(request.header, request.recipients),))

    def edit_headers(self, edit: Callable[[Header], Header]) -> "Draft":
        """This draft with *edit* done to the header of every copy."""
        copies = tuple([Copy(edit(header), to, body) for header, to, body in self.copies])
        return Draft(self.request, copies, self.suppressed)


@dataclass(frozen=True, slots=True)
class Rejection:
    """The message is sent to none of its recipients; *reason* is for its sender."""

    reason: str


Step: TypeAlias = Callable[[Draft, Facts], Draft | Rejection]


def from_domains(header: Header, request: Request) -> tuple[str, ...]:
    """The domains that may sign for a copy of *request* under *header*, first choice first.

    Raises LookupError when a step made up a domain that no facts were gathered for: `read` has to
    name it in the request.
    """
    author = author_field(header)
    if author is request.author:
        return request.from_domains
    domains = domains_by_preference(author, request.submission.sender)
    for domain in domains:
        if domain not in request.from_domains:
            raise LookupError(f"a step wrote {domain} into From: it was not gathered for")
    return domains


def hide_fields(draft: Draft, facts: Facts) -> Draft:
    """Remove what recipients must not see.

    That is other recipients (RFC 5322 section 3.6.3), fields that only the last server may write
    (RFC 5321 section 4.4), and control headers for us.
    """
    del facts
    return draft.edit_headers(_without_hidden)


_HIDDEN = frozenset({b"bcc", b"resent-bcc", b"return-path"})
_HIDDEN_PREFIX = b"x-posthouse-"


def _without_hidden(header: Header) -> Header:
    kept = [
        f for f in header.fields if f.name not in _HIDDEN and not f.name.startswith(_HIDDEN_PREFIX)
    ]
    return header if len(kept) == len(header.fields) else Header(tuple(kept))


def encode_header_text(draft: Draft, facts: Facts) -> Draft:
    """Write 8-bit text as encoded words (RFC 2047), if the client did not ask for SMTPUTF8.

    No server needs an extension for such a header. Octets that are not UTF-8 stay as they came.
    """
    del facts
    submission = draft.request.submission
    if submission.smtputf8 or submission.header.isascii():
        return draft
    return draft.edit_headers(lambda h: Header(tuple([encode_text(f) for f in h.fields])))


def complete_date(draft: Draft, facts: Facts) -> Draft:
    """A message without Date was written when we got it (RFC 6409 section 8.2)."""
    del facts
    return draft.edit_headers(
        lambda header: _complete(header, "Date", lambda: _date(draft.request.received_at))
    )


def complete_message_id(draft: Draft, facts: Facts) -> Draft:
    """A message without Message-ID gets one under its sender's domain (RFC 6409 section 8.3).

    It holds the submission's id, so that preparing it again gives the same one.
    """

    def edit(header: Header) -> Header:
        return _complete(header, "Message-ID", lambda: _message_id(header, draft.request, facts))

    return draft.edit_headers(edit)


def _message_id(header: Header, request: Request, facts: Facts) -> str:
    domain = naming_domain(from_domains(header, request), facts)
    return f"<{request.submission.id}@{domain}>"


def _complete(header: Header, name: str, value: Callable[[], str]) -> Header:
    """*header* with the field *name*; an empty one is replaced."""
    return header if header.first(name) else header.replace(name, value())


def drop_suppressed(draft: Draft, facts: Facts) -> Draft:
    """Suppressed recipients get no delivery, and an event instead."""
    dropped = {
        address: entry
        for address, entries in facts.suppressions.items()
        if (entry := next((e for e in entries if _counts(e, draft.request)), None))
    }
    if not dropped:
        return draft
    copies = tuple(
        c._replace(recipients=tuple(r for r in c.recipients if r.address not in dropped))
        for c in draft.copies
    )
    named = dict.fromkeys(r.address for c in draft.copies for r in c.recipients)
    suppressed = tuple(SuppressedRecipient(a, dropped[a]) for a in named if a in dropped)
    return Draft(draft.request, copies, suppressed)


def _counts(entry: Suppression, request: Request) -> bool:
    """Whether *entry* applies to this message, by the knobs of its profile and its flags."""
    knobs, attributes = request.profile.suppression, request.submission.attributes
    flags = attributes.flags if knobs.override_allowed else {}
    checked = {
        SuppressionList.BOUNCE: flags.get("check_bounces", knobs.check_bounces),
        SuppressionList.UNSUBSCRIBE: flags.get("check_unsubscribes", knobs.check_unsubscribes),
        SuppressionList.COMPLAINT: knobs.check_complaints,  # no flag of a message overrides it
        SuppressionList.MANUAL: True,
    }
    return checked[entry.list] and (not entry.scope or entry.scope in _scopes(request))


def _scopes(request: Request) -> Iterator[str]:
    """The parts of the account's mail that this message belongs to (C25, X19)."""
    attributes = request.submission.attributes
    match request.profile.suppression.scope:
        case SuppressionScope.LIST:
            yield stream_scope(attributes.stream)
        case SuppressionScope.TAG:
            yield from map(tag_scope, attributes.tags or (request.profile.tags.default,))
        case SuppressionScope.ACCOUNT:
            pass


def add_received(draft: Draft, facts: Facts) -> Draft:
    """Our trace field on top (RFC 5321 section 4.4), in keywords of RFC 3848 and RFC 6531."""
    submission = draft.request.submission
    if not submission.sender:  # of our own making: no host gave it to us
        raw = f"Received: by {facts.relay.hostname}\r\n".encode()
        return _with_received(draft, raw)
    protocol = "UTF8SMTP" if submission.smtputf8 else "ESMTP"
    origin = _origin(
        submission.helo,
        submission.client,
        facts.relay.hostname,
        f"{protocol}{'S' if submission.tls else ''}A",
    )
    return _with_received(draft, origin)


def _with_received(draft: Draft, origin: bytes) -> Draft:
    # Of our own making and of known length: they need no check, and fit on one line.
    rest = f" id {draft.request.submission.id.hex}; {_date(draft.request.received_at)}\r\n"
    received = Field(b"received", origin + rest.encode())
    return draft.edit_headers(lambda header: Header((received, *header.fields)))


@lru_cache(maxsize=1024)  # an application's machines are few, and this costs 15 µs
def _origin(helo: str, client: str, hostname: str, protocol: str) -> bytes:
    """The lines of a Received field with client, host and protocol, checked and folded."""
    return field("Received", f"from {_client(helo, client)} by {hostname} with {protocol}").raw


@lru_cache(maxsize=64)  # the same for every message of a second
def _date(when: datetime) -> str:
    return format_datetime(when)


def _client(helo: str, client: str) -> str:
    """The client's name for itself, with its address if that is a public one.

    A private address is of no use to receivers and reveals the customer's network.
    """
    name = helo if _HOST_NAME.fullmatch(helo) or _LITERAL.fullmatch(helo) else "unknown"
    try:
        address = ip_address(client)
    except ValueError:
        return name
    if not address.is_global:
        return name
    return f"{name} ([{'IPv6:' if address.version == 6 else ''}{address}])"  # noqa: PLR2004


def steps_for(profile: Profile) -> Iterable[Step]:
    """The steps for a message of *profile*, in this order."""
    yield hide_fields
    yield encode_header_text
    if profile.conformance.date is Conformance.REPAIR:
        yield complete_date
    if profile.conformance.message_id is Conformance.REPAIR:
        yield complete_message_id
    yield add_received
    yield drop_suppressed


def run_steps(steps: Iterable[Step], draft: Draft, facts: Facts) -> Draft | Rejection:
    """*draft* after all *steps*, or the first rejection."""
    for step in steps:
        result = step(draft, facts)
        if isinstance(result, Rejection):
            return result
        draft = result
    return draft
