"""What a conversation asks of its connection, and what its parts ask of it after each reply."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from dispatcher.core.envelope import Octets
from posthouse.answers import Stage
from posthouse.mail.outcome import Deferred, Outcome


@dataclass(frozen=True, slots=True)
class Send:
    """Write this."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class SendContent:
    """Write these portions in this order, each when the one before it has left us."""

    portions: Iterator[tuple[Octets, ...]]


@dataclass(frozen=True, slots=True)
class StartTls:
    """Begin the TLS handshake, then call tls_started()."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Greetings are exchanged; transactions may begin."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The transaction is over."""

    outcomes: tuple[Outcome, ...]  # in the order of the recipients
    untouched: bool = False  # the server left before it answered anything of it


@dataclass(frozen=True, slots=True)
class Closed:
    """The conversation is over; nothing more may be written."""

    reason: Deferred
    at: Stage | None = None  # what was waited for, or answered by the last reply
    cut: bool = False  # no reply ended it: the connection broke off, or was given up


Action: TypeAlias = Send | SendContent | StartTls | Ready | Finished | Closed


# Between the parts of a conversation.


@dataclass(frozen=True, slots=True)
class Say:
    """Say this, and wait for its reply."""

    stage: Stage
    line: str


@dataclass(frozen=True, slots=True)
class Over:
    """The transaction is over; the conversation goes on."""


@dataclass(frozen=True, slots=True)
class OutOfStep:
    """The server answers what it cannot have seen, or in a way that nothing can follow."""
