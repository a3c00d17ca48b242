"""What a client sends: envelope and message (RFC 5321, RFC 6409)."""

import time
from functools import cache
from typing import assert_never

import structlog
from prometheus_client import Counter, Histogram

from ingest.core import commands, replies
from ingest.core.data import LINE_LIMIT, DataReader, Flaw
from ingest.core.examination import examine, header_and_body
from ingest.core.refusal import Reason, Refusal
from ingest.core.sender import check_sender
from ingest.smtp_connection import Transaction
from ingest.smtp_login import SmtpLogin
from posthouse.mail.lane import Lane
from posthouse.mail.reply import Reply
from posthouse.mail.submission import Submission
from posthouse.store import StoreFull, StoreUnavailable
from posthouse.store.accounts import Login

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


@cache
def _received(listener: str, lane: Lane) -> Counter:
    """Kept: looking a counter up costs more than moving it."""
    return RECEIVED.labels(listener, lane.label)


# A message that grows by this much gets the time of a command again: the slowest that is waited
# for is some 1 KB a second.
_PROGRESS_OCTETS = 262_144


class SmtpSession(SmtpLogin):
    """One client's conversation."""

    _held = 0  # octets of the message at work

    # The envelope.

    async def smtp_MAIL(self, argument: str) -> None:  # noqa: N802
        """Begin a message."""
        if self._mail is not None:
            self.answer(replies.NESTED_MAIL)
            return
        mail = commands.read_mail(argument)
        if isinstance(mail, Reply):
            self.answer(mail)
        elif trouble := self._door.trouble.reply(self.loop.time()):
            self.answer(trouble)
        elif not self._door.has_room():
            self._refuse(Refusal(Reason.FULL, replies.FULL))
        elif login := await self._current_login():
            limit = self._door.limits.message_octets
            if refusal := check_sender(mail.sender, login.domains):
                self._refuse(refusal)
            elif mail.size > limit:
                self._refuse(Refusal(Reason.SIZE, replies.too_big(limit)))
            else:
                self._mail = Transaction(str(mail.sender), mail.smtputf8)
                self.answer(replies.SENDER_OK)

    async def _current_login(self) -> Login | None:
        """The login as it is by now; when it is no more, the client has heard so."""
        assert self._login is not None  # the gate saw to it
        try:
            self._login = await self._door.authenticator.current(self._login)
        except StoreUnavailable as error:
            self._turn_away(replies.FAULT, error)
            return None
        if self._login is None:
            self.answer(replies.NEEDS_AUTH)
        return self._login

    async def smtp_RCPT(self, argument: str) -> None:  # noqa: N802
        """Add a recipient; whether its domain exists is for the dispatcher to find out."""
        mail = self._mail
        if mail is None:
            self.answer(replies.NEEDS_MAIL)
            return
        recipient = commands.read_rcpt(argument, smtputf8=mail.smtputf8)
        if isinstance(recipient, Reply):
            self.answer(recipient)
        elif len(mail.recipients) >= self._door.limits.recipients:
            self.answer(replies.TOO_MANY_RECIPIENTS)
        else:
            mail.recipients[str(recipient)] = None
            self.answer(replies.RECIPIENT_OK)

    # The message.

    async def smtp_DATA(self, argument: str) -> None:  # noqa: N802
        """Take a message: 250 says that it is committed."""
        mail, login = self._mail, self._login
        if argument:
            self.answer(replies.NO_ARGUMENT)
        elif mail is None or login is None:
            self.answer(replies.NEEDS_MAIL)
        elif not mail.recipients:
            self.answer(replies.NO_VALID_RECIPIENTS)
        elif self._door.guests.hold_too_much:
            self._refuse(Refusal(Reason.FULL, replies.FULL))
        else:
            started = time.perf_counter()
            self.answer(replies.SEND_DATA)
            try:
                message = await self._receive()
                self._mail = None
                if isinstance(message, Refusal):
                    self._refuse(message)
                else:
                    await self._judge(mail, login, *message)
            finally:
                self._hold(0)
            RECEIVING.observe(time.perf_counter() - started)

    async def _receive(self) -> tuple[bytes, bytes] | Refusal:
        """Header and body: read to the end of the data, whatever is wrong with it."""
        data = DataReader(self._door.limits.message_octets)
        progress, full = 0, False
        while not (self.octets_read and data.feed(self.octets_read)):
            self._hold(data.held)
            if self._door.guests.hold_too_much:
                full = True
                data.give_up()
            if data.came - progress > _PROGRESS_OCTETS:
                progress = data.came
                self.give_time()
            await self.read_more()
        self._hold(data.held)
        self.give_time()
        result = data.result()
        if full:
            return Refusal(Reason.FULL, replies.FULL)
        return self._flawed(result) if isinstance(result, Flaw) else header_and_body(result)

    def _hold(self, octets: int) -> None:
        """Have all sessions together count what this one keeps in memory by now."""
        self._door.guests.octets += octets - self._held
        self._held = octets

    def _flawed(self, flaw: Flaw) -> Refusal:
        match flaw:
            case Flaw.TOO_BIG:
                return Refusal(Reason.SIZE, replies.too_big(self._door.limits.message_octets))
            case Flaw.BARE_LINE_END:
                return Refusal(Reason.LINE_END, replies.BARE_LINE_END_IN_DATA)
            case Flaw.LONG_LINE:
                return Refusal(Reason.LINE_LENGTH, replies.line_too_long(LINE_LIMIT))
            case _:
                assert_never(flaw)

    async def _judge(self, mail: Transaction, login: Login, header: bytes, body: bytes) -> None:
        lane = examine(
            header,
            domains=login.domains,
            default=login.lane,
            highest=login.highest_lane,
            limit=self._door.limits.header_octets,
        )
        if isinstance(lane, Refusal):
            self._refuse(lane)
            return
        submission = Submission(
            id=self._door.new_id(),
            account_id=login.account_id,
            credential_id=login.credential_id,
            profile=login.profile,
            lane=lane,
            sender=mail.sender,
            recipients=tuple(mail.recipients),
            smtputf8=mail.smtputf8,
            client=self._client,
            helo=self._helo,
            tls=self._tls,
            header=header,
            body=body,
        )
        await self._keep(submission)

    async def _keep(self, submission: Submission) -> None:
        trouble = self._door.trouble
        try:
            await self._door.intake.accept(submission)
        except StoreFull as error:
            self._turn_away(replies.FULL, error)
        except StoreUnavailable as error:
            self._turn_away(replies.FAULT, error)
        else:
            trouble.over()
            self._errors = 0
            self.answer(replies.queued(submission.id))
            _received(self._label, submission.lane).inc()
            log.info(
                "accepted",
                submission=submission.id.hex,
                lane=submission.lane.label,
                username=self._login and self._login.username,
                sender=str(submission.sender or "<>"),
                size=len(submission.header) + len(submission.body),
                recipients=len(submission.recipients),
                client=self._client,
            )

    # Saying no.

    def _refuse(self, refusal: Refusal) -> None:
        """Turn a message away for what is wrong with it."""
        if refusal.reason is Reason.LINE_END:
            # Such data was made to be read differently by different programs: no more of it.
            self.leave(refusal.reply)
        else:
            self.answer(refusal.reply)
        REJECTED.labels(refusal.reason).inc()
        log.info(
            "rejected", reason=refusal.reason, reply=str(refusal.reply), client=self._client,
            username=self._login and self._login.username,
        )  # fmt: skip

    def _turn_away(self, reply: Reply, error: Exception) -> None:
        """Ask the client to come back, because the store fails; and the next ones, for a second."""
        self._door.trouble.failed(reply, self.loop.time())
        self.answer(reply)
        reason = Reason.FULL if reply is replies.FULL else Reason.FAULT
        REJECTED.labels(reason).inc()
        log.error("not_accepted", reason=str(error) or type(error).__name__, client=self._client)

    # Small talk.

    async def smtp_NOOP(self, _: str) -> None:  # noqa: N802
        """Do nothing; what stands behind it is ignored (RFC 5321 section 4.1.1.9)."""
        self.answer(replies.OK)

    async def smtp_RSET(self, argument: str) -> None:  # noqa: N802
        """Forget the envelope."""
        if argument:
            self.answer(replies.NO_ARGUMENT)
            return
        self._mail = None
        self.answer(replies.OK)

    async def smtp_HELP(self, _: str) -> None:  # noqa: N802
        """Name the documents we follow."""
        self.answer(replies.HELP)

    async def smtp_VRFY(self, _: str) -> None:  # noqa: N802
        """Tell nothing about addresses (RFC 5321 section 7.3)."""
        self.answer(replies.CANNOT_VERIFY)

    async def smtp_EXPN(self, _: str) -> None:  # noqa: N802
        """There are no lists here."""
        self.answer(replies.NOT_IMPLEMENTED)

    async def smtp_QUIT(self, argument: str) -> None:  # noqa: N802
        """Part friends."""
        if argument:
            self.answer(replies.NO_ARGUMENT)
        else:
            self.leave(replies.GOODBYE)
