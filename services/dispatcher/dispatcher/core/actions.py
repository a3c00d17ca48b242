"""What a conversation asks of whoever holds the connection."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from dispatcher.core.content import Octets
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


Action: TypeAlias = Send | SendContent | StartTls | Ready | Finished | Closed
