"""Our trace field (RFC 5321 section 4.4)."""

import re
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from ipaddress import ip_address

from policy.core.draft import Draft
from policy.core.facts import Facts
from posthouse.mail.message import Field, Header, field

_HOST_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9])?\.?")
_LITERAL = re.compile(r"\[[A-Za-z0-9.:]{2,60}\]")


def add_received(draft: Draft, facts: Facts) -> Draft:
    """Our trace field on top (RFC 5321 section 4.4), in keywords of RFC 3848 and RFC 6531."""
    submission = draft.request.submission
    if not submission.sender and submission.is_ours:  # no host gave it to us
        raw = f"Received: by {facts.relay.hostname}\r\n".encode()
        return _with_received(draft, raw)
    secure = "S" if submission.tls else ""
    if not submission.helo:  # it came by HTTP, where no client gives itself a name
        protocol = f"HTTP{secure}"
    else:
        protocol = f"{'UTF8SMTP' if submission.smtputf8 else 'ESMTP'}{secure}A"
    origin = _origin(submission.helo, submission.client, facts.relay.hostname, protocol)
    return _with_received(draft, origin)


def _with_received(draft: Draft, origin: bytes) -> Draft:
    # Of our own making and of known length: they need no check, and fit on one line.
    rest = f" id {draft.request.submission.id.hex}; {date_text(draft.request.received_at)}\r\n"
    received = Field(b"received", origin + rest.encode())
    return draft.edit_headers(lambda header: Header((received, *header.fields)))


@lru_cache(maxsize=1024)  # an application's machines are few, and this costs 15 µs
def _origin(helo: str, client: str, hostname: str, protocol: str) -> bytes:
    """The lines of a Received field with client, host and protocol, checked and folded."""
    return field("Received", f"from {_client(helo, client)} by {hostname} with {protocol}").raw


@lru_cache(maxsize=64)  # the same for every message of a second
def date_text(when: datetime) -> str:
    """*when* as header fields have it (RFC 5322 section 3.3)."""
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
