"""What became of an attempt to deliver: a closed union, each failure with its scope."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from posthouse.mail.reply import Reply


class Scope(StrEnum):
    """How much of the work a failure speaks for (DESIGN section 5)."""

    RECIPIENT = "recipient"  # this mailbox; the only scope that may ever suppress an address
    MESSAGE = "message"  # this content; other messages to the same place may pass
    HOST = "host"  # this server; another MX of the site may take it
    SITE = "site"  # every server of the destination
    SENDER = "sender"  # our address, our reputation, our policy


@dataclass(frozen=True, slots=True)
class Delivered:
    """The remote server took responsibility: its 2yz to the final dot."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not delivered, and worth trying again."""

    reply: Reply
    scope: Scope


@dataclass(frozen=True, slots=True)
class Bounced:
    """Refused for good: a clear 5yz, or a destination that does not exist."""

    reply: Reply
    scope: Scope


@dataclass(frozen=True, slots=True)
class Uncertain:
    """The final dot was sent and its reply never came: the result is unknown (RFC 1047)."""

    reply: Reply


Outcome: TypeAlias = Delivered | Deferred | Bounced | Uncertain
