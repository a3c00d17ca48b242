"""Why a message, its sender or a login is refused, and the reply to the client.

Enhanced codes are those of RFC 3463 and RFC 5248.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from posthouse.mail.rate_limit import Counted, Excess
from posthouse.mail.reply import Reply

STOPPING = Reply(421, "Service shutting down", "4.3.2")
FAULT = Reply(451, "Internal fault, try again later", "4.3.0")
FULL = Reply(452, "Insufficient storage, try again later", "4.3.1")

_BARE_LINE_END = Reply(550, "Lines end with <CR><LF>; bare CR, bare LF or NUL seen", "5.5.2")
_NO_AUTHOR = Reply(550, "The message has no From header", "5.6.0")
_SEVERAL_AUTHOR_FIELDS = Reply(550, "The message has more than one From header", "5.6.0")
_LOOP = Reply(554, "Too many Received headers: this message is in a loop", "5.4.6")


class Reason(StrEnum):
    """The closed list that logs and metrics count refusals by."""

    SENDER = "sender"  # MAIL FROM is not at one of the account's verified domains
    AUTHOR = "author"  # the From header is missing, unreadable or not at such a domain
    SIZE = "size"
    LINE_END = "line_end"  # a bare CR or LF, or a NUL
    LINE_LENGTH = "line_length"
    HEADER = "header"  # larger than we parse
    CONFORMANCE = "conformance"  # a field that the profile requires, refuses or cannot read
    CONTROL = "control"  # a header that tells us what to do cannot be read
    LOOP = "loop"
    KEY = "key"  # another message was accepted under its idempotency key
    SANDBOX = "sandbox"  # the sandbox domain is not open to it, or its messages are used up
    RATE = "rate"  # above a limit of its credential or account
    FULL = "full"  # no room, in memory or in the store
    FAULT = "fault"  # ours


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reply to the client, and the reason it is counted as."""

    reason: Reason
    reply: Reply
    alert: Mapping[str, Any] | None = None  # what the account hears of it
    again_at: datetime | None = None  # when the same may be accepted


NO_ROOM = Refusal(Reason.FULL, FULL)
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


def other_fields_too_big(limit: int) -> Refusal:
    """A large header is one that names many recipients."""
    text = f"Header of more than {limit} octets beside To, Cc and Bcc, which is the limit"
    return Refusal(Reason.HEADER, Reply(552, text, "5.3.4"))


def too_many_separators(limit: int) -> Refusal:
    """A large header that would take long to read."""
    text = f"A large header may have {limit} separators, such as commas, quotes and brackets"
    return Refusal(Reason.HEADER, Reply(552, text, "5.3.4"))


def line_too_long(limit: int) -> Refusal:
    """A line of the message is longer than its profile takes (RFC 5322 section 2.1.1)."""
    text = f"A line is longer than {limit} octets"
    return Refusal(Reason.LINE_LENGTH, Reply(550, text, "5.6.0"))


def unreadable_field(name: str, why: object) -> Refusal:
    """A header field with addresses is there but cannot be read in one way."""
    return _of_field(name, f"The {name} header cannot be read: {why}")


def no_field(name: str) -> Refusal:
    """A field that the profile requires is not there."""
    return _of_field(name, f"The message has no {name} header")


def empty_field(name: str) -> Refusal:
    """A field that the profile requires says nothing."""
    return _of_field(name, f"The {name} header is empty")


def unwanted_field(name: str) -> Refusal:
    """A field is there that the profile refuses."""
    return _of_field(name, f"The message must not have a {name} header")


def unreadable_control(name: str, why: str) -> Refusal:
    """A header that tells us what to do has a value that it cannot have."""
    return Refusal(Reason.CONTROL, Reply(550, f"{name}: {why}", "5.6.0"))


def subject_too_long(characters: int, limit: int) -> Refusal:
    """The Subject, with the tags in it, is longer than the profile takes (C24)."""
    text = f"The Subject with its tags has {characters} characters, {limit} are allowed"
    return _of_field("Subject", text)


def broken_control(text: str) -> Refusal:
    """The same, in the words that clients know of the vendor they come from."""
    return Refusal(Reason.CONTROL, Reply(550, text, "5.6.0"))


def not_in_envelope(address: str) -> Refusal:
    """The recipient in To is not one of RCPT TO (M12)."""
    return _of_field("To", f"The recipient in To, {address!a}, was not named by RCPT TO")


def other_than_in_to(address: str, only: str) -> Refusal:
    """RCPT TO names a recipient beside the one in To, where no message may have a second (E12)."""
    return _of_field("To", f"RCPT TO names {address!a}, and To {only!a}: both must be the same one")


def _of_field(name: str, text: str) -> Refusal:
    reason = Reason.AUTHOR if name.lower() == "from" else Reason.CONFORMANCE
    return Refusal(reason, Reply(550, text, "5.6.0"))


def several_addresses(name: str, seen: int) -> Refusal:
    """A field has to name one address, or to be there once."""
    return _of_field(name, f"Exactly one {name} header with one address is required: {seen} seen")


def repeated_field(name: str, seen: int) -> Refusal:
    """A field may be there once."""
    return _of_field(name, f"At most one {name} header is allowed: {seen} seen")


def bad_message_id(value: str) -> Refusal:
    """A Message-ID that is not one."""
    seen = in_ascii(value[:80])
    return _of_field("Message-ID", f"Message-ID {seen!r} is not of the form <local@domain>")


def in_ascii(text: str) -> str:
    """What a reply may show of *text*: a reply is ASCII."""
    return text.encode("ascii", "backslashreplace").decode()


def unknown_stream(name: str, code: str) -> Refusal:
    """A field names no stream of the account."""
    return _of_field(name, f"{in_ascii(code[:80])!r} in {name} is no code of this account")


def key_taken(first: UUID) -> Refusal:
    """Its idempotency key belongs to the message *first*, which is another one."""
    text = f"Another message was accepted under this idempotency key: {first.hex}"
    return Refusal(Reason.KEY, Reply(550, text, "5.6.0"))


def sandbox_used_up(limit: int) -> Refusal:
    """The account has had *limit* messages from the sandbox domain, all that it may."""
    text = (
        f"All {limit} messages that this account may send from the sandbox domain were accepted: "
        "set up a sending domain of its own"
    )
    return Refusal(Reason.SANDBOX, Reply(550, text, "5.7.1"))


def rate_exceeded(excess: Excess, again_at: datetime | None) -> Refusal:
    """More than a credential or account may send in a window that ends at *again_at*.

    None: one message, or those that have to go together, are more than that.
    """
    of = "account" if excess.of_account else "user"
    if again_at is None:
        to = "to " if excess.limit.counted is Counted.RECIPIENTS else ""
        text = f"This {of} may send {to}{excess.limit}, and this alone is more"
        return Refusal(Reason.RATE, Reply(550, text, "5.5.3"))
    text = f"This {of} may send {excess.limit}: it goes on at {again_at:%Y-%m-%d %H:%M:%S} UTC"
    return Refusal(Reason.RATE, Reply(452, text, "4.7.1"), again_at=again_at)


def unnamed_recipient(address: str) -> Refusal:
    """A recipient is in no To or Cc header, and the profile allows no Bcc (C12)."""
    text = f"{address!a} is named in no To or Cc header, and Bcc is not activated for this account"
    return Refusal(Reason.CONFORMANCE, Reply(550, text, "5.7.1"))


def several_fields(name: str) -> Refusal:
    """A field that may be there once is there more often."""
    return _of_field(name, f"The message has more than one {name} header")


def contradictory_fields(name: str) -> Refusal:
    """A field that may be there once is there more often, and not as copies of one."""
    return _of_field(name, f"The message has more than one {name} header, and they differ")


def stray_line(line: bytes) -> Refusal:
    """A line of the header is no field, and no empty line ended it before."""
    shown = ascii(line.partition(b"\r\n")[0].decode("utf-8", "replace"))
    text = f"{shown} is neither a header field nor the empty line before the body"
    return Refusal(Reason.CONFORMANCE, Reply(550, text, "5.6.0"))


def malformed(why: str) -> Refusal:
    """A field cannot be read; *why* names it."""
    return Refusal(Reason.CONFORMANCE, Reply(550, f"Not as RFC 5322 says: {why}", "5.6.0"))


def eight_bit_field(name: str) -> Refusal:
    """A field has octets above 127 that nothing says how to read."""
    return _of_field(name, f"The {name} header is not ASCII: encode it, or ask for SMTPUTF8")


def wrong_subject() -> Refusal:
    """Readers would not understand how Subject is encoded."""
    return _of_field("Subject", "The Subject header is not encoded as RFC 2047 says")
