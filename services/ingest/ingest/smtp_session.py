"""What a client may say: the commands of SMTP submission (RFC 5321, RFC 6409, RFC 4954)."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import assert_never

import structlog
from prometheus_client import Counter, Histogram

from ingest.authenticator import Denial
from ingest.core import commands, replies
from ingest.core.commands import Credentials
from ingest.core.data import LINE_LIMIT, DataReader, Flaw
from ingest.core.examination import examine
from ingest.core.refusal import Reason, Refusal
from ingest.core.sender import check_sender
from ingest.listener import TlsMode
from ingest.smtp_connection import SmtpConnection
from posthouse.mail.message import split
from posthouse.mail.reply import Reply
from posthouse.mail.submission import Submission
from posthouse.store import StoreFull, StoreUnavailable
from posthouse.store.accounts import Login

log = structlog.get_logger()

LOGINS = Counter("posthouse_smtp_auth", "Logins tried", ["mechanism", "result"])
RECEIVED = Counter(
    "posthouse_messages_received", "Messages committed and answered 250", ["listener", "lane"]
)
REJECTED = Counter("posthouse_messages_rejected", "Messages turned away", ["reason"])
RECEIVING = Histogram(
    "posthouse_receive_duration_seconds",
    "From DATA to the answer to its final dot",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)

# A message that grows by this much gets the time of a command again: the slowest that is waited
# for is some 1 KB a second.
_PROGRESS_OCTETS = 262_144


@dataclass(slots=True)
class _Transaction:
    """An envelope in the making."""

    sender: str
    smtputf8: bool
    recipients: dict[str, None] = field(default_factory=dict)  # in order, each once


class SmtpSession(SmtpConnection):
    """One client's conversation."""

    _helo = ""
    _extended = False  # greeted by EHLO, so that AUTH is known
    _failed_logins = 0
    _mail: _Transaction | None = None

    # Greeting and small talk.

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802
        """Greet, and tell the extensions."""
        if self._greet(hostname, extended=True):
            self.answer(
                replies.ehlo(
                    self.hostname,
                    size=self._door.limits.message_octets,
                    starttls=self._offers_tls,
                    auth=self._offers_auth,
                )
            )

    async def smtp_HELO(self, hostname: str) -> None:  # noqa: N802
        """Greet a client without extensions: it can neither log in nor send."""
        if self._greet(hostname, extended=False):
            self.answer(Reply(250, self.hostname))

    def _greet(self, hostname: str, *, extended: bool) -> bool:
        # Clients give whatever their machine is called ("vm", "localhost"): all of it is taken.
        if not hostname:
            self.answer(replies.NEEDS_NAME)
            return False
        self._greeted = True
        self._extended = extended
        self._helo = hostname
        self._mail = None
        return True

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

    # TLS and login.

    @property
    def _offers_tls(self) -> bool:
        wants = self._listener.tls in (TlsMode.OPPORTUNISTIC, TlsMode.STARTTLS_REQUIRED)
        return wants and not self._tls and self._door.tls is not None

    @property
    def _offers_auth(self) -> bool:
        """In clear only where the listener's mode says so (aiosmtpd issue 281: and on 465)."""
        in_clear = self._listener.tls in (TlsMode.NONE, TlsMode.OPPORTUNISTIC)
        return self._login is None and (bool(self._tls) or in_clear)

    async def smtp_STARTTLS(self, argument: str) -> None:  # noqa: N802
        """Go on encrypted (RFC 3207)."""
        if argument:
            self.answer(replies.NO_ARGUMENT)
        elif self._tls:
            self.answer(replies.ALREADY_TLS)
        elif not self._offers_tls or self._door.tls is None:
            self.answer(replies.NO_TLS_HERE)
        else:
            self.answer(replies.READY_FOR_TLS)
            await self.start_tls(self._door.tls)
            self._mail = None

    async def smtp_AUTH(self, argument: str) -> None:  # noqa: N802
        """Log in (RFC 4954); mechanisms are named in any case."""
        mechanism, _, initial = argument.partition(" ")
        mechanism = mechanism.upper()
        if refused := self._refuse_auth(mechanism, initial):
            self.answer(refused)
            return
        credentials = await self._ask(mechanism, initial.strip())
        if isinstance(credentials, Reply):
            self.answer(credentials)
            return
        try:
            login = await self._door.authenticator.authenticate(credentials, self._client)
        except StoreUnavailable as error:
            LOGINS.labels(mechanism, "unavailable").inc()
            log.warning("auth_unavailable", client=self._client, reason=str(error))
            self.answer(replies.AUTH_UNAVAILABLE)
            return
        await self._conclude_auth(login, mechanism, credentials.username)

    def _refuse_auth(self, mechanism: str, initial: str) -> Reply | None:
        if self._login is not None:
            return replies.ALREADY_AUTHENTICATED
        if not self._extended:
            return replies.NEEDS_EHLO
        if self._mail is not None:
            return replies.AUTH_IN_TRANSACTION
        if not self._offers_auth:
            return replies.AUTH_NOT_OFFERED
        if not mechanism or " " in initial.strip():
            return replies.AUTH_SYNTAX
        return None if mechanism in ("PLAIN", "LOGIN") else replies.AUTH_MECHANISM

    async def _ask(self, mechanism: str, initial: str) -> Credentials | Reply:
        """Get what *mechanism* needs from the client; a Reply says why it cannot be had."""
        if mechanism == "PLAIN":
            message = await self._response(initial, "")
            return message if isinstance(message, Reply) else commands.read_plain(message)
        username = await self._response(initial, "VXNlcm5hbWU6")  # "Username:"
        if isinstance(username, Reply):
            return username
        secret = await self._response("", "UGFzc3dvcmQ6")  # "Password:"
        return secret if isinstance(secret, Reply) else commands.read_login(username, secret)

    async def _response(self, initial: str, challenge: str) -> bytes | Reply:
        if initial:
            return commands.read_response(initial)
        self.answer(Reply(334, challenge))
        line = await self.read_line()
        text = line if isinstance(line, Reply) else commands.read_line(line)
        return text if isinstance(text, Reply) else commands.read_response(text)

    async def _conclude_auth(self, login: Login | Denial, mechanism: str, username: str) -> None:
        match login:
            case Login():
                self._login = login
                self._failed_logins = 0
                self.answer(replies.LOGGED_IN)
                result = "accepted"
            case Denial.WRONG:
                self._failed_logins += 1
                await asyncio.sleep(self._door.limits.login_failure_seconds)
                self.answer(replies.AUTH_FAILED)
                result = "refused"
            case Denial.TOO_MANY_GUESSES:
                self.leave(replies.TOO_MANY_LOGINS)
                result = "too_many"
            case _:
                assert_never(login)
        LOGINS.labels(mechanism, result).inc()
        if self._login is None:
            log.info("auth_failed", client=self._client, mechanism=mechanism, username=username)
        if self._failed_logins >= self._door.limits.login_failures:
            self.leave(replies.TOO_MANY_LOGINS)

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
        elif login := await self._current_login():
            limit = self._door.limits.message_octets
            if refusal := check_sender(mail.sender, login.domains):
                self._refuse(refusal)
            elif mail.size > limit:
                self._refuse(Refusal(Reason.SIZE, replies.too_big(limit)))
            else:
                self._mail = _Transaction(str(mail.sender), mail.smtputf8)
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
            content = await self._receive()
            self._mail = None
            if isinstance(content, Refusal):
                self._refuse(content)
            else:
                await self._judge(mail, login, content)
            RECEIVING.observe(time.perf_counter() - started)

    async def _receive(self) -> bytes | Refusal:
        """Read to the end of the data, whatever is wrong with it."""
        guests = self._door.guests
        data = DataReader(self._door.limits.message_octets)
        held, progress, full = 0, 0, False
        try:
            while not data.feed(self.octets_read):
                guests.octets += data.octets - held
                held = data.octets
                if guests.hold_too_much:
                    full = True
                    data.give_up()
                if held - progress > _PROGRESS_OCTETS:
                    progress = held
                    self._reset_timeout()
                await self.read_more()
        finally:
            guests.octets -= held
        self._reset_timeout()
        result = data.result()
        if full:
            return Refusal(Reason.FULL, replies.FULL)
        return result if isinstance(result, bytes) else self._flawed(result)

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

    async def _judge(self, mail: _Transaction, login: Login, content: bytes) -> None:
        header, body = split(content)
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
            async with asyncio.timeout(trouble.deadline):
                await self._door.intake.accept(submission)
        except StoreFull as error:
            self._turn_away(replies.FULL, error)
        except (StoreUnavailable, TimeoutError) as error:
            self._turn_away(replies.FAULT, error)
        else:
            trouble.over()
            self.answer(replies.queued(submission.id))
            RECEIVED.labels(self._label, submission.lane.label).inc()
            log.info(
                "accepted",
                submission=submission.id.hex,
                lane=submission.lane.label,
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
            credential=self._login and self._login.username,
        )  # fmt: skip

    def _turn_away(self, reply: Reply, error: Exception) -> None:
        """Ask the client to come back, because the store fails; and the next ones, for a second."""
        self._door.trouble.failed(reply, self.loop.time())
        self.answer(reply)
        reason = Reason.FULL if reply is replies.FULL else Reason.FAULT
        REJECTED.labels(reason).inc()
        log.error("not_accepted", reason=str(error) or type(error).__name__, client=self._client)
