"""The messages of one session: memory while they come in, the store when they are complete."""

import time

from ingest.core import refusals
from ingest.core.admission import SessionFacts
from ingest.core.refusals import Refusal
from ingest.core.rules import Client, refusal_for
from ingest.listeners import Listener
from ingest.message_intake import Given, MessageIntake
from ingest.session_context import SessionContext
from posthouse.mail.reply import Reply
from posthouse.profiles.choices import LineEndings
from posthouse.running.loop_histogram import LoopHistogram
from posthouse.smtp.data import Flaw
from posthouse.smtp.server import SmtpServer
from posthouse.smtp.session_state import MessageReceived

RECEIVING = LoopHistogram(
    "posthouse_receive_duration_seconds",
    "From DATA, or the first BDAT, to the answer to the message",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
_receiving = RECEIVING.labels()

# Messages from this size on are counted in the memory budget: a thousand smaller ones are 16 MB.
_COUNTED_OCTETS = 16_384


class MessageReceiver:
    """Answers DATA and the message after it, and refuses senders and messages."""

    facts: SessionFacts  # of the login, set before MAIL is answered
    client = ""  # its address

    def __init__(self, context: SessionContext, server: SmtpServer, listener: Listener) -> None:
        self._context = context
        self._server = server
        self._intake = MessageIntake(context, listener.name)
        self._cleans = listener.line_endings is LineEndings.CLEAN
        self._began = 0.0
        self._given_up = False
        self._is_counted = False  # in the memory budget

    @property
    def credential(self) -> str:
        """The user name of the one whose messages they are."""
        return self.facts.username

    def begin(self) -> None:
        """Answer DATA."""
        self._began = time.perf_counter()
        self._given_up = False
        if self._context.memory.is_full:
            self.reject(refusals.NO_ROOM)
        else:
            facts = self.facts
            cleans = self._cleans and facts.cleans_lines
            self._server.begin_data(facts.line_limit, cleans=cleans)

    def note_progress(self) -> None:
        """Count what has come of the message."""
        data = self._server.state.data
        assert data is not None
        if data.kept_octets > _COUNTED_OCTETS or self._is_counted:
            self._is_counted = True
            self._context.memory.keep(self, data.kept_octets)

    def give_up_message(self) -> None:
        """Keep no more of the message; its client is asked to come back later."""
        data = self._server.state.data
        if data is not None:
            self._given_up = True
            data.give_up()

    def release(self) -> None:
        """No message is in memory any more."""
        if self._is_counted:
            self._is_counted = False
            self._context.memory.release(self)

    async def complete(self, message: MessageReceived) -> None:
        """Answer the final dot: 250 says that the message is committed."""
        try:
            if isinstance(message.content, list):
                octets = sum(map(len, message.content))
                if octets > _COUNTED_OCTETS or self._is_counted:
                    self._is_counted = True
                    self._context.memory.complete(self, octets)
            await self._judge(message)
        finally:
            self.release()
        _receiving.observe(time.perf_counter() - self._began)

    async def _judge(self, message: MessageReceived) -> None:
        if self._given_up:
            self.reject(refusals.NO_ROOM)
            return
        facts, state, envelope = self.facts, self._server.state, message.envelope
        if isinstance(message.content, Flaw):
            self.reject(refusal_for(message.content, facts.max_message_octets))
            return
        to = tuple(envelope.recipients)
        client = Client(self.client, state.helo, state.tls)
        given = Given(
            message.content,
            envelope.sender,
            to,
            envelope.smtputf8,
            client,
            dsn=envelope.request,
            cleaned=message.cleaned,
            began=self._began,
        )
        taken = await self._intake.take(given, facts)
        if isinstance(taken, Refusal):
            self._server.answer(taken.reply)
        else:
            self._server.forgive()
            text = facts.profile.replies.accepted.replace("{id}", taken.id)
            self._server.answer(Reply(250, text, "2.0.0"))

    def reject(self, refusal: Refusal) -> None:
        """Refuse a message or its sender."""
        self._server.answer(self._intake.notes.refusal(refusal, self.facts, self.client).reply)

    def turn_away(self, reply: Reply, error: Exception) -> None:
        """Ask the client to come back, because the store fails; and others, for a second."""
        self._server.answer(self._intake.notes.failure(reply, error, self.client).reply)
