"""Why a message, its sender or a login is refused, and the reply to the client.

Enhanced codes are those of RFC 3463 and RFC 5248.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from posthouse.mail.reply import Reply

AUTH_FAILED = Reply(535, "Authentication credentials invalid", "5.7.8")
AUTH_UNAVAILABLE = Reply(454, "Temporary authentication failure", "4.7.0")
TOO_MANY_LOGINS = Reply(421, "Too many failed logins, try again later", "4.7.0")
TOO_MANY_CONNECTIONS = Reply(421, "Too many connections, try again later", "4.7.0")
STOPPING = Reply(421, "Service shutting down", "4.3.2")
TIMED_OUT = Reply(421, "Timeout", "4.4.2")
FAULT = Reply(451, "Internal fault, try again later", "4.3.0")
FULL = Reply(452, "Insufficient storage, try again later", "4.3.1")

_NULL_SENDER = Reply(550, "The null reverse-path is not open to clients: give a sender", "5.7.1")
_BARE_LINE_END = Reply(550, "Lines end with <CR><LF>; bare CR, bare LF or NUL seen", "5.5.2")
_NO_AUTHOR = Reply(550, "The message has no From header", "5.6.0")
_SEVERAL_AUTHOR_FIELDS = Reply(550, "The message has more than one From header", "5.6.0")
_LOOP = Reply(554, "Too many Received headers: this message is in a loop", "5.4.6")

_DOMAINS_NAMED = 8


class Reason(StrEnum):
    """The closed list that logs and metrics count refusals by."""

    SENDER = "sender"  # MAIL FROM is not at one of the account's verified domains
    AUTHOR = "author"  # the From header is missing, unreadable or not at such a domain
    SIZE = "size"
    LINE_END = "line_end"  # a bare CR or LF, or a NUL
    LINE_LENGTH = "line_length"
    HEADER = "header"  # larger than we parse
    LOOP = "loop"
    FULL = "full"  # no room, in memory or in the store
    FAULT = "fault"  # ours


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reply to the client, and the reason it is counted as."""

    reason: Reason
    reply: Reply


NO_ROOM = Refusal(Reason.FULL, FULL)
NULL_SENDER = Refusal(Reason.SENDER, _NULL_SENDER)
BARE_LINE_END = Refusal(Reason.LINE_END, _BARE_LINE_END)
NO_AUTHOR = Refusal(Reason.AUTHOR, _NO_AUTHOR)
SEVERAL_AUTHOR_FIELDS = Refusal(Reason.AUTHOR, _SEVERAL_AUTHOR_FIELDS)
LOOP = Refusal(Reason.LOOP, _LOOP)


def too_big(limit: int) -> Refusal:
    """Declared or found to be larger than SIZE."""
    return Refusal(Reason.SIZE, Reply(552, f"Message larger than {limit} octets", "5.3.4"))


def header_too_big(limit: int) -> Refusal:
    """The header alone is larger than we parse."""
    text = f"Header of more than {limit} octets, which is the limit"
    return Refusal(Reason.HEADER, Reply(552, text, "5.3.4"))


def line_too_long(limit: int) -> Refusal:
    """A line of the message is longer than any program needs."""
    text = f"A line is longer than {limit} octets (RFC 5322 allows 998)"
    return Refusal(Reason.LINE_LENGTH, Reply(550, text, "5.6.0"))


def unreadable_author(why: object) -> Refusal:
    """The From header is there but cannot be read."""
    return Refusal(Reason.AUTHOR, Reply(550, f"The From header cannot be read: {why}", "5.6.0"))


def foreign_domain(reason: Reason, text: str, domain: str, allowed: Collection[str]) -> Refusal:
    """A sender is at a domain that the account has not verified; *text* is its profile's."""
    shown = text.replace("{domain}", domain).replace("{allowed}", _named(allowed))
    return Refusal(reason, Reply(550, shown, "5.7.1"))


def _named(domains: Collection[str]) -> str:
    if not domains:
        return "it has none"
    names = sorted(domains)
    more = len(names) - _DOMAINS_NAMED
    listed = ", ".join(names[:_DOMAINS_NAMED])
    return f"{listed} and {more} more" if more > 0 else listed
