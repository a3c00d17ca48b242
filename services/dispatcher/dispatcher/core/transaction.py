"""One message for one server: what follows each reply, and each recipient's outcome."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from dispatcher.core.actions import OutOfStep, Over, Say, SendContent
from dispatcher.core.classify import classify_refusal, classify_reply, refuses_parameters
from dispatcher.core.envelope import Envelope, on_the_wire
from posthouse.answers import Stage
from posthouse.mail.outcome import Deferred, Delivered, Outcome
from posthouse.mail.reply import Reply
from posthouse.mail.scope import Scope

Step: TypeAlias = Say | SendContent | Over | OutOfStep


class OutboundTransaction:
    """One message; each recipient gets exactly one outcome, and keeps the first.

    But for those whose parameters of DSN the server refuses, although it offers DSN: they are asked
    for once more, without. A report is not worth a message.
    """

    __slots__ = (
        "_asked",
        "_outcomes",
        "_provider",
        "_refused_dsn",
        "_to",
        "accepted",
        "answered",
        "envelope",
        "needs_reset",
    )

    def __init__(self, envelope: Envelope, provider: str = "") -> None:
        self.envelope = envelope  # with those recipients that are asked for
        self._provider = provider  # whose server it is, if known
        self.answered = False  # whether the server has answered anything of it
        self.needs_reset = False  # MAIL was taken, and no final dot followed
        self.accepted = 0  # recipients that the server took
        self._asked = 0  # recipients that the server has answered for
        self._to: Sequence[int] = range(len(envelope.recipients))  # the numbers of those
        self._outcomes: list[Outcome | None] = [None] * len(envelope.recipients)
        self._refused_dsn: list[int] = []  # recipients that may be taken without its parameters

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

    def goes_without_dsn(self) -> bool:
        """Whether it has to begin again, without parameters that were refused; then it does."""
        if not self._refused_dsn:
            return False
        recipients = self.envelope.recipients
        left = tuple([recipients[number] for number in self._refused_dsn])
        self.envelope = replace(self.envelope, recipients=left, dsn=None)
        self._to, self._refused_dsn = self._refused_dsn, []
        for number in self._to:
            self._outcomes[number] = None
        self.accepted = self._asked = 0
        return True

    def on_reply(self, stage: Stage, reply: Reply, *, flushed: bool) -> Step | None:
        """What follows *reply*; None: the next command, or the reply to it.

        *flushed*: all that was written had left us before.
        """
        match stage:
            case Stage.MAIL:
                self._on_mail(reply)
                return None
            case Stage.RCPT:
                self._on_rcpt(reply)
                return None
            case Stage.DATA:
                return self._on_data(reply)
            case _:
                return self._on_dot(reply, flushed=flushed)

    def _on_mail(self, reply: Reply) -> None:
        self.answered = True
        self.needs_reset = reply.is_success
        if reply.is_success:
            return
        dsn = self.envelope.dsn
        if dsn is not None and dsn.parameters and refuses_parameters(reply):
            self._refused_dsn = list(self._to)
            self.settle(Deferred(reply, Scope.HOST))
        else:
            self._refuse(reply, Stage.MAIL, recipients=len(self._to))

    def _on_rcpt(self, reply: Reply) -> None:
        number, recipient = self._to[self._asked], self.envelope.recipients[self._asked]
        self._asked += 1
        if reply.is_success:
            self.accepted += 1
            return
        if self._outcomes[number] is not None:
            return
        dsn = self.envelope.dsn
        if dsn is not None and dsn.of(recipient).parameters and refuses_parameters(reply):
            self._refused_dsn.append(number)
            self._outcomes[number] = Deferred(reply, Scope.HOST)
        else:
            self._outcomes[number] = classify_refusal(reply, Stage.RCPT, provider=self._provider)

    def _on_data(self, reply: Reply) -> Step:
        if not reply.is_intermediate:
            self.needs_reset = True
            self._refuse(reply, Stage.DATA, recipients=self.accepted)
            return OutOfStep() if reply.is_success else Over()
        if not self.is_settled:
            return SendContent(on_the_wire(self.envelope.header, self.envelope.body))
        if not self.accepted:
            # RFC 2920 section 3.1: all recipients were refused, and still it waits for a
            # message. A lone dot ends that, and its answer is for no recipient.
            return Say(Stage.DOT, ".\r\n")
        # MAIL was refused and RCPT taken: a dot might deliver an empty message.
        return OutOfStep()

    def _on_dot(self, reply: Reply, *, flushed: bool) -> Step:
        # If it has not seen the dot, it may well refuse the message by now, but not take it.
        if flushed or not reply.is_success:
            self.needs_reset = False
            outcome = classify_reply(
                reply, Stage.DOT, recipients=self.accepted, provider=self._provider
            )
            if self.envelope.dsn is not None and isinstance(outcome, Delivered):
                outcome = replace(outcome, asked_for_reports=True)
            self.settle(outcome)
        return Over() if flushed else OutOfStep()

    def _refuse(self, reply: Reply, stage: Stage, *, recipients: int) -> None:
        self.settle(classify_refusal(reply, stage, recipients=recipients, provider=self._provider))
