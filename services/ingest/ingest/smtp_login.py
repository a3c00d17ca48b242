"""Who a client is: greeting, STARTTLS and AUTH (RFC 5321 section 4.1.1.1, RFC 3207, RFC 4954)."""

import asyncio
from typing import assert_never

import structlog
from prometheus_client import Counter

from ingest.authenticator import Denial
from ingest.core import commands, replies
from ingest.core.commands import Credentials
from ingest.listener import TlsMode
from ingest.smtp_connection import SmtpConnection
from posthouse.mail.reply import Reply
from posthouse.store import StoreUnavailable
from posthouse.store.accounts import Login

log = structlog.get_logger()

LOGINS = Counter("posthouse_smtp_auth", "Logins tried", ["mechanism", "result"])


class SmtpLogin(SmtpConnection):
    """A session up to the point where it may send."""

    _helo = ""
    _extended = False  # greeted by EHLO, so that AUTH is known
    _failed_logins = 0

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802
        """Greet, and tell the extensions."""
        if self._greet(hostname, extended=True):
            self.answer(
                replies.ehlo(
                    self._door.hostname,
                    size=self._door.limits.message_octets,
                    starttls=self._offers_tls,
                    auth=self._offers_auth,
                )
            )

    async def smtp_HELO(self, hostname: str) -> None:  # noqa: N802
        """Greet a client without extensions: it can neither log in nor send."""
        if self._greet(hostname, extended=False):
            self.answer(Reply(250, self._door.hostname))

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

    @property
    def _offers_tls(self) -> bool:
        wants = self._listener.tls in (TlsMode.OPPORTUNISTIC, TlsMode.STARTTLS_REQUIRED)
        return wants and not self._tls and self._door.tls is not None

    @property
    def _offers_auth(self) -> bool:
        """In clear only where the listener's mode allows it; on implicit TLS at once."""
        return self._login is None and not self._must_start_tls

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
            # As if the client had just connected (RFC 3207 section 4.2).
            self._greeted = False
            self._login = None
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
