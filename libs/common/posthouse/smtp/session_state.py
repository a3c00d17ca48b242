"""What a server offers, the state of one of its sessions, and the events for its caller."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from posthouse.mail.address import Address
from posthouse.mail.reply import Reply
from posthouse.smtp.commands import Credentials, Mail
from posthouse.smtp.data import DataReader, Flaw


class SessionStage(IntEnum):
    """How far a session has come."""

    CONNECTED = 0  # EHLO comes next
    GREETED = 1  # AUTH comes next
    READY = 2  # MAIL comes next
    SENDER = 3  # RCPT comes next
    RECIPIENTS = 4  # DATA may come


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What a server offers and how much it takes."""

    hostname: str
    max_message_octets: int
    product: str = "Posthouse"
    max_recipients: int = 1_000
    offers_starttls: bool = False
    requires_starttls: bool = False
    requires_auth: bool = True  # False: AUTH is not offered
    max_protocol_errors: int = 20
    max_idle_commands: int = 100  # NOOP, RSET, VRFY... between two messages
    refuse_recipient: Callable[[Address], Reply | None] | None = None  # None: each is taken


@dataclass(slots=True)
class IncomingEnvelope:
    """Sender and recipients of the message to come."""

    sender: str  # "" for the null reverse-path
    smtputf8: bool
    recipients: dict[str, None] = field(default_factory=dict)  # in order, each once


@dataclass(slots=True)
class SessionState:
    """The state of a session."""

    max_message_octets: int
    stage: SessionStage = SessionStage.CONNECTED
    helo: str = ""  # what the client called itself
    extended: bool = False  # it said EHLO, so it knows of AUTH
    tls: str = ""  # version and cipher, "" in clear
    authenticated: bool = False
    envelope: IncomingEnvelope | None = None
    mechanism: str = ""  # of the AUTH exchange that is going on
    username: bytes | None = None  # given in it
    data: DataReader | None = None  # of the message that is being received
    waiting: str = ""  # the verb that the caller has to answer
    errors: int = 0
    idle_commands: int = 0
    closed: bool = False


# What the caller has to decide or do. `Mail` is an event too: may this sender send?


class AuthRequest(NamedTuple):
    """Answer with `logged_in` or `answer`."""

    mechanism: str
    credentials: Credentials


class DataRequest(NamedTuple):
    """The client wants to send a message: answer with `begin_data` or `answer`."""


class MessageReceived(NamedTuple):
    """A message is complete: answer with `answer`."""

    envelope: IncomingEnvelope
    content: list[bytes] | Flaw  # pieces of whole lines, dot-stuffing undone


class TlsRequest(NamedTuple):
    """Send the output, do the handshake, then call `tls_started`."""


Event: TypeAlias = Mail | AuthRequest | DataRequest | MessageReceived | TlsRequest
