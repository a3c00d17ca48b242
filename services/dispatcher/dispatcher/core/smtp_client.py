"""One SMTP conversation, client side, without sockets: bytes and calls in, actions out.

`Opening` decides what is said until a message may be sent, `OutboundTransaction` what follows each
reply to one. Here both are kept in step (RFC 5321, PIPELINING RFC 2920):

- ``_awaited`` holds the commands without a reply, oldest first. Nothing awaited means idle: a
  transaction may begin.
- With PIPELINING all commands of a transaction are written at once; without, ``_unsent`` holds
  those that wait for the reply before them.
- Each recipient gets exactly one outcome. A conversation that breaks off before the final dot
  was written is Deferred, between the dot and its reply Uncertain, whatever broke it off.
- A 421 may answer anything and ends the conversation. So does whatever is out of step: a reply
  to nothing, or one that arrived before its command was written. A stray 250 that passed for
  the answer to the final dot would lose mail.
"""

from collections import deque
from dataclasses import replace

from dispatcher.core.actions import (
    Action,
    Closed,
    Finished,
    OutOfStep,
    Over,
    Say,
    Send,
    SendContent,
    StartTls,
)
from dispatcher.core.classify import interrupted, turned_away, unanswered
from dispatcher.core.envelope import Envelope, Unsendable, commands
from dispatcher.core.opening import Opening
from dispatcher.core.relay_login import RelayLogin
from dispatcher.core.reply_reader import GarbledReply, ReplyReader
from dispatcher.core.routes import TlsPolicy
from dispatcher.core.transaction import OutboundTransaction
from posthouse.answers import SERVICE_CLOSING, Stage
from posthouse.mail.outcome import Deferred
from posthouse.mail.reply import Reply

_OUT_OF_STEP = "the server's replies are out of step"


class SmtpClient:
    """The client's side of one connection, from the greeting on."""

    def __init__(
        self,
        helo: str,
        tls: TlsPolicy,
        provider: str = "",
        *,
        login: RelayLogin | None = None,
        by_helo: bool = False,
        may_be_us: bool = True,
    ) -> None:
        """*provider*: whose server it is, as `posthouse.answers` names it, if known.

        For the others see Opening. With implicit TLS it begins at tls_started().
        """
        self.tls = tls
        self._provider = provider
        self._login = login
        self._opening = Opening(helo, tls, login, by_helo=by_helo, may_be_us=may_be_us)
        self._reader = ReplyReader()
        self._starts_tls = tls is TlsPolicy.IMPLICIT
        self._awaited: deque[Stage] = deque(() if self._starts_tls else (Stage.GREETING,))
        self._unsent: deque[tuple[Stage, str]] = deque()
        self._transaction: OutboundTransaction | None = None
        self._needs_reset = False  # of the transaction before
        self._end: Deferred | None = None  # why the conversation is over
        self._actions: list[Action] = []
        self._speaks = False  # the last of these actions is to write
        self._flushed = True  # what was written before we heard this had left us

    @property
    def stage(self) -> Stage | None:
        """What is waited for; None when idle, closed, or while TLS is being started."""
        return self._awaited[0] if self._awaited else None

    @property
    def is_idle(self) -> bool:
        """Whether a transaction may begin."""
        return not (self._awaited or self._starts_tls or self._end)

    def receive(self, data: bytes, *, flushed: bool = True) -> list[Action]:
        """Take what the server sent; *flushed*: all that was written had left us."""
        self._flushed = flushed
        if self._starts_tls or self._end:
            # Clear text after the 220 to STARTTLS may come from another host (CVE-2011-0411).
            return []
        try:
            replies = self._reader.feed(data)
        except GarbledReply as error:
            self._break_off(self._login.hide(str(error)) if self._login else str(error))
            return self._taken()
        for reply in replies:
            self._on_reply(reply)
            if self._starts_tls or self._end:
                return self._taken()
        if self._speaks and not self._reader.is_empty:
            self._break_off(_OUT_OF_STEP, flushed=False)
        return self._taken()

    def tls_started(self) -> list[Action]:
        """The handshake succeeded."""
        self._starts_tls = False
        self._reader.clear()
        if (first := self._opening.tls_started()) is not None:
            self._say(first.stage, first.line)
        else:
            self._awaited.append(Stage.GREETING)
        return self._taken()

    def begin(self, envelope: Envelope) -> list[Action]:
        """Start a transaction; only when idle, or when the conversation is over already.

        The server may end it at any time, so the caller need not know that.
        """
        if envelope.dsn is not None and "DSN" not in self._opening.extensions:
            envelope = replace(envelope, dsn=None)
        self._transaction = OutboundTransaction(envelope, self._provider)
        if self._end is not None:
            self._transaction.settle(self._end)
            self._finish(untouched=True)
            return self._taken()
        assert self.is_idle
        self._start()
        return self._taken()

    def quit(self) -> list[Action]:
        """Say QUIT; only when idle."""
        assert self.is_idle
        self._say(Stage.QUIT, "QUIT\r\n")
        return self._taken()

    def lost(self, reason: str, *, flushed: bool = True) -> list[Action]:
        """The connection is gone or given up; *flushed*: all that was written had left us."""
        if self._end is None:
            self._break_off(reason, flushed=flushed)
        return self._taken()

    # Commands

    def _start(self) -> None:
        """Say what the transaction begins with, or how it ends before."""
        try:
            lines = commands(self._current.envelope, self._opening.extensions)
        except Unsendable as error:
            self._current.settle(error.outcome)
            self._finish()
            return
        if not self._reader.is_empty:
            self._break_off(_OUT_OF_STEP)
            return
        if self._needs_reset:
            lines.insert(0, (Stage.RSET, "RSET\r\n"))
            self._needs_reset = False
        self._speak(lines)

    def _speak(self, lines: list[tuple[Stage, str]]) -> None:
        if "PIPELINING" in self._opening.extensions:
            self._awaited.extend([stage for stage, _ in lines])
            self._write("".join([line for _, line in lines]))
        else:
            self._unsent.extend(lines)
            self._say(*self._unsent.popleft())

    def _say(self, stage: Stage, line: str) -> None:
        self._awaited.append(stage)
        self._write(line)

    def _write(self, text: str) -> None:
        self._actions.append(Send(text.encode()))
        self._speaks = True

    def _taken(self) -> list[Action]:
        actions, self._actions = self._actions, []
        self._speaks = False
        return actions

    # Replies

    def _on_reply(self, reply: Reply) -> None:
        if self._speaks:
            # In one packet with the reply before it, so it cannot answer what we say to that.
            self._break_off(_OUT_OF_STEP, flushed=False)
            return
        if self._login is not None and not reply.is_intermediate:
            reply = reply._replace(text=self._login.hide(reply.text))
        if not self._awaited:
            self._turned_away(reply, Stage.QUIT)
            return
        stage = self._awaited.popleft()
        if reply.code == SERVICE_CLOSING or stage is Stage.QUIT:
            self._turned_away(reply, stage)
        elif stage is Stage.RSET:
            if not reply.is_success:
                self._turned_away(reply, stage)
        elif self._transaction is not None:
            self._send_on(self._transaction, stage, reply)
        else:
            self._open_on(stage, reply)
        if self._unsent and not self._awaited:
            self._say(*self._unsent.popleft())

    def _open_on(self, stage: Stage, reply: Reply) -> None:
        """The opening goes on, or ends."""
        match self._opening.on_reply(stage, reply):
            case Say(next_stage, line):
                self._say(next_stage, line)
            case Closed(reason, at):
                self._close(reason, at)
            case step:
                self._starts_tls = isinstance(step, StartTls)
                self._actions.append(step)

    def _send_on(self, transaction: OutboundTransaction, stage: Stage, reply: Reply) -> None:
        """The transaction goes on, or ends."""
        match transaction.on_reply(stage, reply, flushed=self._flushed):
            case None:
                if self._unsent and transaction.is_settled:
                    self._unsent.clear()
                    self._end_or_repeat(transaction)
            case Say(next_stage, line):
                self._say(next_stage, line)
            case SendContent() as content:
                self._awaited.append(Stage.DOT)
                self._actions.append(content)
                self._speaks = True
            case Over():
                self._end_or_repeat(transaction)
            case OutOfStep():
                self._break_off(_OUT_OF_STEP)

    def _end_or_repeat(self, transaction: OutboundTransaction) -> None:
        self._needs_reset = self._needs_reset or transaction.needs_reset
        if transaction.goes_without_dsn():
            # What it says that it offers counts no more, for this connection.
            self._opening.extensions.pop("DSN", None)
            self._start()
        else:
            self._finish()

    # The end

    @property
    def _current(self) -> OutboundTransaction:
        assert self._transaction is not None
        return self._transaction

    def _finish(self, *, untouched: bool = False) -> None:
        self._actions.append(Finished(self._current.outcomes, untouched))
        self._transaction = None

    def _break_off(self, reason: str, *, flushed: bool = True) -> None:
        if self.stage is not Stage.DOT:
            self._close(interrupted(self.stage, reason), self.stage, cut=True)
            return
        if flushed and self._transaction is not None:
            self._transaction.settle(unanswered(reason))
        self._close(interrupted(None, f"{reason} while sending the message"), cut=True)

    def _turned_away(self, reply: Reply, stage: Stage) -> None:
        self._close(turned_away(reply, stage), stage)

    def _close(self, reason: Deferred, at: Stage | None = None, *, cut: bool = False) -> None:
        self._end = reason
        self._awaited.clear()
        self._unsent.clear()
        # What was not written yet must not be.
        said = (Send, SendContent)
        self._actions = [action for action in self._actions if not isinstance(action, said)]
        self._speaks = False
        if self._transaction is not None:
            self._transaction.settle(reason)
            self._finish(untouched=not self._transaction.answered)
        self._actions.append(Closed(reason, at, cut))
