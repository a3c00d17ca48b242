"""The actions that a conversation asks for, and the state of its transaction."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from dispatcher.core.classify import SmtpStage, classify_refusal, classify_reply
from dispatcher.core.envelope import Envelope, Octets
from posthouse.mail.outcome import Deferred, Outcome
from posthouse.mail.reply import Reply


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


class OutboundTransaction:
    """One message; each recipient gets exactly one outcome, and keeps the first."""

    __slots__ = ("_asked", "_outcomes", "accepted", "answered", "envelope")

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope
        self.accepted = 0  # recipients that the server took
        self.answered = False  # whether the server has answered anything of it
        self._asked = 0  # recipients that the server has answered for
        self._outcomes: list[Outcome | None] = [None] * len(envelope.recipients)

    @property
    def is_settled(self) -> bool:
        """Whether no recipient is left to send it to."""
        return None not in self._outcomes

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The outcomes, in the order of the recipients; when settled."""
        return tuple([outcome for outcome in self._outcomes if outcome is not None])

    def settle(self, outcome: Outcome) -> None:
        """Give *outcome* to every recipient that has none yet."""
        self._outcomes = [known or outcome for known in self._outcomes]

    def on_mail(self, reply: Reply) -> None:
        """The server answered MAIL."""
        self.answered = True
        if not reply.is_success:
            self.settle(classify_refusal(reply, SmtpStage.MAIL, recipients=len(self._outcomes)))

    def on_rcpt(self, reply: Reply) -> None:
        """The server answered for the next recipient."""
        number = self._asked
        self._asked += 1
        if reply.is_success:
            self.accepted += 1
        elif self._outcomes[number] is None:
            self._outcomes[number] = classify_refusal(reply, SmtpStage.RCPT)

    def on_data_refused(self, reply: Reply) -> None:
        """The server does not want the message."""
        self.settle(classify_refusal(reply, SmtpStage.DATA, recipients=self.accepted))

    def on_dot(self, reply: Reply) -> None:
        """The server answered the final dot."""
        self.settle(classify_reply(reply, SmtpStage.DOT, recipients=self.accepted))
