"""The messages of one session: memory while they come in, the store when they are complete."""

import time
from functools import cache

import structlog
from prometheus_client import Counter, Histogram

from ingest.core import refusals
from ingest.core.message_checks import Client, SessionFacts, submission_or_refusal
from ingest.core.refusals import Reason, Refusal
from ingest.session_context import SessionContext
from posthouse.mail.reply import Reply
from posthouse.mail.submission import Submission
from posthouse.smtp.server import SmtpServer
from posthouse.smtp.session_state import MessageReceived
from posthouse.store import StoreFull, StoreUnavailable

log = structlog.get_logger()

RECEIVED = Counter(
    "posthouse_messages_received", "Messages committed and answered 250", ["listener", "lane"]
)
REJECTED = Counter("posthouse_messages_rejected", "Messages turned away", ["reason"])
RECEIVING = Histogram(
    "posthouse_receive_duration_seconds",
    "From DATA to the answer to its final dot",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)

# A message that grows by this much gets the time of a command again: the slowest client that is
# waited for sends about 1 KB a second.
_PROGRESS_OCTETS = 262_144

# Messages from this size on are counted in the memory budget: a thousand smaller ones are 16 MB.
_COUNTED_OCTETS = 16_384

# Looking a counter up costs more than moving it: each is kept.
_rejected = cache(REJECTED.labels)
_received = cache(RECEIVED.labels)


class MessageReceiver:
    """Answers DATA and the message after it, and refuses senders and messages."""

    facts: SessionFacts  # of the login, set before MAIL is answered
    client = ""  # its address

    def __init__(self, context: SessionContext, server: SmtpServer, listener: str) -> None:
        """*listener*: its label in metrics."""
        self._context = context
        self._server = server
        self._listener = listener
        self._began = 0.0
        self._progress = 0  # octets of the message for which the client was given time
        self._given_up = False
        self._is_counted = False  # in the memory budget

    @property
    def credential(self) -> str:
        """The user name of the one whose messages they are."""
        return self.facts.username

    def begin(self) -> None:
        """Answer DATA."""
        self._began = time.perf_counter()
        self._progress, self._given_up = 0, False
        if self._context.memory.is_full:
            self.reject(refusals.NO_ROOM)
        else:
            self._server.begin_data()

    def note_progress(self) -> bool:
        """Count what has come of the message; whether it is enough to give the client more time."""
        data = self._server.state.data
        assert data is not None
        if data.kept_octets > _COUNTED_OCTETS or self._is_counted:
            self._is_counted = True
            self._context.memory.keep(self, data.kept_octets)
        if data.received_octets - self._progress <= _PROGRESS_OCTETS:
            return False
        self._progress = data.received_octets
        return True

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
        RECEIVING.observe(time.perf_counter() - self._began)

    async def _judge(self, message: MessageReceived) -> None:
        if self._given_up:
            self.reject(refusals.NO_ROOM)
            return
        state = self._server.state
        found = submission_or_refusal(
            message,
            self.facts,
            Client(self.client, state.helo, state.tls),
            self._context.new_id(),
        )
        if isinstance(message.content, list):
            message.content.clear()  # while it is committed, a message is in memory once
        if isinstance(found, Refusal):
            self.reject(found)
        else:
            await self._keep(found)

    async def _keep(self, submission: Submission) -> None:
        try:
            await self._context.intake.accept(submission)
        except StoreFull as error:
            self.turn_away(refusals.FULL, error)
            return
        except StoreUnavailable as error:
            self.turn_away(refusals.FAULT, error)
            return
        self._context.store_backoff.succeeded()
        self._server.forgive()
        text = self.facts.profile.replies.accepted.replace("{id}", submission.id.hex)
        self._server.answer(Reply(250, text, "2.0.0"))
        _received(self._listener, submission.lane.label).inc()
        log.info(
            "accepted",
            submission=submission.id.hex,
            lane=submission.lane.label,
            username=self.facts.username,
            sender=submission.sender or "<>",
            size=submission.size,
            recipients=len(submission.recipients),
            client=submission.client,
        )

    def reject(self, refusal: Refusal) -> None:
        """Refuse a message or its sender."""
        if refusal.reason is Reason.LINE_END:
            # Such data is made to be read differently by different programs: close the connection.
            self._server.close(refusal.reply)
        else:
            self._server.answer(refusal.reply)
        _rejected(refusal.reason).inc()
        log.info(
            "rejected",
            reason=refusal.reason,
            reply=str(refusal.reply),
            client=self.client,
            username=self.facts.username,
        )

    def turn_away(self, reply: Reply, error: Exception) -> None:
        """Ask the client to come back, because the store fails; and others, for a second."""
        self._context.store_backoff.failed(reply, self._context.clock())
        self._server.answer(reply)
        _rejected(Reason.FULL if reply is refusals.FULL else Reason.FAULT).inc()
        log.error("not_accepted", reason=str(error) or type(error).__name__, client=self.client)
