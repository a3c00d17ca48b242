"""What a server offers, the state of one of its sessions, and the events for its caller."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from posthouse.mail.address import Address
from posthouse.mail.dsn_request import NOTHING_ASKED, DsnRequest, RecipientRequest
from posthouse.mail.reply import Reply
from posthouse.smtp.commands import Mail
from posthouse.smtp.data import ContentReader, Flaw
from posthouse.smtp.mechanisms import Exchange, Proof, ScramRequest

_PARAMETERS_OCTETS = 50  # what NOTIFY and the names of parameters take, as they are kept


class SessionStage(IntEnum):
    """How far a session has come."""

    CONNECTED = 0  # EHLO comes next
    GREETED = 1  # AUTH comes next
    READY = 2  # MAIL comes next
    SENDER = 3  # RCPT comes next
    RECIPIENTS = 4  # DATA or BDAT may come
    CHUNKS = 5  # BDAT comes next, until its last


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
    mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")  # names in `posthouse.smtp.mechanisms`
    nonce: Callable[[], str] = lambda: ""  # for mechanisms with a challenge: see `Draw`
    max_protocol_errors: int = 20
    max_idle_commands: int = 100  # NOOP, RSET, VRFY... between two messages
    max_messages: int | None = None  # begun on one connection (RFC 9422, MAILMAX); None: any
    refuse_recipient: Callable[[Address], Reply | None] | None = None  # None: each is taken


@dataclass(slots=True)
class IncomingEnvelope:
    """Sender and recipients of the message to come."""

    sender: str  # "" for the null reverse-path
    smtputf8: bool
    # In order, each once, with the parameters of DSN; None: it has none.
    recipients: dict[str, RecipientRequest | None] = field(default_factory=dict)
    dsn: DsnRequest | None = None  # of MAIL alone
    asked_octets: int = 0  # about what it takes to keep the parameters of RCPT

    def add(self, recipient: str, asked: RecipientRequest | None) -> None:
        """Add *recipient*; one that is there already gets all that was asked about it."""
        if recipient in self.recipients:
            known = self.recipients[recipient]
            if known != asked:
                asked = (known or NOTHING_ASKED).and_again(asked or NOTHING_ASKED)
        self.recipients[recipient] = asked
        if asked is not None:
            self.asked_octets += len(recipient) + len(asked.original) + _PARAMETERS_OCTETS

    @property
    def request(self) -> DsnRequest | None:
        """What MAIL and RCPT ask for, None for nothing."""
        if not self.asked_octets:
            return self.dsn
        asked = {a: one for a, one in self.recipients.items() if one is not None}
        return replace(self.dsn or DsnRequest(), recipients=asked)


@dataclass(slots=True)
class Chunk:
    """The octets that follow a BDAT command (RFC 3030)."""

    size: int
    last: bool  # of its message
    left: int  # octets that are still to come
    reply: Reply | None = None  # to be given when they have come and are discarded

    @property
    def received_octets(self) -> int:
        """Octets of it that have come."""
        return self.size - self.left


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
    exchange: Exchange | None = None  # it
    data: ContentReader | None = None  # of the message that is being received
    chunk: Chunk | None = None  # whose octets come now
    discards_chunks: bool = False  # one of the message was refused, and more may follow
    waiting: str = ""  # the verb that the caller has to answer
    errors: int = 0
    idle_commands: int = 0
    messages: int = 0  # begun
    closed: bool = False


# What the caller has to decide or do. `Mail` is an event too: may this sender send?


class AuthRequest(NamedTuple):
    """Answer with `log_in` or `answer`."""

    mechanism: str
    proof: Proof


class DataRequest(NamedTuple):
    """The client wants to send a message, by DATA or BDAT: answer with `begin_data` or `answer`."""


class MessageReceived(NamedTuple):
    """A message is complete: answer with `answer`."""

    envelope: IncomingEnvelope
    content: list[bytes] | Flaw  # in pieces, dot-stuffing undone
    cleaned: tuple[str, ...] = ()  # what had to be, see `posthouse.mail.line_ends`


class TlsRequest(NamedTuple):
    """Send the output, do the handshake, then call `tls_started`."""


Event: TypeAlias = Mail | ScramRequest | AuthRequest | DataRequest | MessageReceived | TlsRequest
