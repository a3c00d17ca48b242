"""What is known of the message on its way: who was asked for, who was taken, what came of it."""

from dispatcher.core.envelope import Envelope
from dispatcher.core.judge import Stage, judge, refused
from posthouse.mail.outcome import Outcome
from posthouse.mail.reply import Reply


class Transaction:
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
        """What came of it, in the order of the recipients; when settled."""
        return tuple([outcome for outcome in self._outcomes if outcome is not None])

    def settle(self, outcome: Outcome) -> None:
        """Give *outcome* to every recipient that has none yet."""
        self._outcomes = [known or outcome for known in self._outcomes]

    def on_mail(self, reply: Reply) -> None:
        """The server answered MAIL."""
        self.answered = True
        if not reply.is_success:
            self.settle(refused(reply, Stage.MAIL, recipients=len(self._outcomes)))

    def on_rcpt(self, reply: Reply) -> None:
        """The server answered for the next recipient."""
        number = self._asked
        self._asked += 1
        if reply.is_success:
            self.accepted += 1
        elif self._outcomes[number] is None:
            self._outcomes[number] = refused(reply, Stage.RCPT)

    def on_data_refused(self, reply: Reply) -> None:
        """The server does not want the message."""
        self.settle(refused(reply, Stage.DATA, recipients=self.accepted))

    def on_dot(self, reply: Reply) -> None:
        """The server answered the final dot."""
        self.settle(judge(reply, Stage.DOT, recipients=self.accepted))
