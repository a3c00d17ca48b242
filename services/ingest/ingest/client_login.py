"""Who a client is: AUTH is answered here, and asked again for each message."""

import asyncio
from dataclasses import replace
from typing import assert_never
from uuid import UUID

import structlog
from prometheus_client import Counter

from ingest.connection_limiter import Limited
from ingest.core import login_replies, refusals
from ingest.core.admission import SessionFacts
from ingest.core.login_rules import login_refusal
from ingest.core.shared_names import SharedName, is_misplaced, own_proof, shared_name
from ingest.message_receiver import MessageReceiver
from ingest.session_context import SessionContext
from posthouse.authentication.authenticator import Denial, Denied, LoggedIn
from posthouse.authentication.login_limits import seconds_until_answer
from posthouse.authentication.proofs import last_word
from posthouse.mail.reply import Reply
from posthouse.profiles import InvalidOverride, UnknownProfile
from posthouse.smtp.commands import Credentials
from posthouse.smtp.mechanisms import Proof, ScramRequest
from posthouse.smtp.server import SmtpServer
from posthouse.smtp.session_state import AuthRequest
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.logins import Login

log = structlog.get_logger()

LOGINS = Counter("posthouse_smtp_auth", "Logins tried", ["mechanism", "result"])

_ITS_OWN_LINE = "connections"  # too many of the user's: the limiter writes it to the log
_LOGGED_CHARACTERS = 100  # of a user name that may be anything

_NOT_HERE_ADVICE = (
    "the secret is right: permissions, or networks, listeners or TLS of its profile forbid it here"
)
_SHARED_NAME_ADVICE = "only PLAIN and LOGIN carry the key that says whose it is"

# Reasons why it is unknown whether a client may send; a newer version may know a profile that is
# unknown here.
_CANNOT_TELL = (StoreUnavailable, StoreRefused, UnknownProfile, InvalidOverride)


class ClientLogin:
    """The login of one session."""

    def __init__(
        self,
        context: SessionContext,
        server: SmtpServer,
        receiver: MessageReceiver,
        listener: str,
        session: Limited,
    ) -> None:
        """*receiver* is told what a login means for it; *listener*: as knobs name it."""
        self._context = context
        self._session = session
        self._server = server
        self._receiver = receiver
        self._listener = listener
        self._login: Login | None = None
        self._secret_hash = b""  # of the secret that proved it
        self._shared: SharedName | None = None  # under which it was proven
        self._child: UUID | None = None  # of its account, that alone it sends for
        self._failed_logins = 0

    def forget(self) -> None:
        """Nobody is logged in (any more)."""
        self._login = None

    async def begin_scram(self, request: ScramRequest) -> None:
        """Answer with the salt of the user, or one that stands in for it."""
        try:
            keys = await self._context.authenticator.scram_keys(request.username)
        except StoreUnavailable as error:
            self._cannot_tell("SCRAM-SHA-256", error)
        else:
            self._server.send_salt(keys.salt, keys.iterations)

    def _cannot_tell(self, mechanism: str, error: Exception) -> None:
        LOGINS.labels(mechanism, "unavailable").inc()
        log.warning("auth_unavailable", client=self._receiver.client, reason=str(error))
        self._server.answer(login_replies.AUTH_UNAVAILABLE)

    async def conclude(self, request: AuthRequest) -> None:
        """Answer whether the client has proven who it is, and may log in here."""
        began = self._context.clock()
        shared = shared_name(request.proof)
        try:
            result = await self._authenticate(request.proof, shared)
            if isinstance(result, LoggedIn):
                self._receiver.facts = self._facts(result.login)
        except _CANNOT_TELL as error:
            self._cannot_tell(request.mechanism, error)
            return
        match result:
            case LoggedIn():
                counted = await self._admit(result, request.proof, shared, began)
            case Denied():
                counted = await self._deny(result, shared, began)
        LOGINS.labels(request.mechanism, counted).inc()
        if self._login is None and counted != _ITS_OWN_LINE:
            self._log_failure(request, result)

    async def _authenticate(self, given: Proof, shared: SharedName | None) -> LoggedIn | Denied:
        authenticator, client = self._context.authenticator, self._receiver.client
        self._child = None
        if not (shared and isinstance(given, Credentials)):
            return await authenticator.authenticate(given, client)
        result = await authenticator.authenticate(own_proof(given), client, key=given.secret)
        if isinstance(result, LoggedIn) and shared.child:
            self._child = await authenticator.child(result.login, shared.child)
            if self._child is None:
                return Denied(Denial.WRONG, advice=f"there is no child account {shared.child!a}")
        return result

    async def _admit(
        self, found: LoggedIn, given: Proof, shared: SharedName | None, began: float
    ) -> str:
        """Answer AUTH of a client that is who it says; what the login is counted as."""
        if refusal := self._login_refusal(found.login, shared):
            failed = _failed(shared) if refusal is login_replies.AUTH_FAILED else refusal
            return await self._refuse_login(failed, began)
        if refusal := self._context.connections.log_in(self._session, found.login.credential_id):
            self._server.close(refusal)
            return _ITS_OWN_LINE
        (self._login, self._secret_hash), self._shared = found, shared
        self._failed_logins = 0
        word = last_word(found.login, given)
        self._server.log_in(self._receiver.facts.max_message_octets, word)
        return "accepted"

    async def _deny(self, denied: Denied, shared: SharedName | None, began: float) -> str:
        """Answer AUTH of a client that failed; what the login is counted as."""
        match denied.why:
            case Denial.WRONG:
                return await self._refuse_login(_failed(shared), began)
            case Denial.TOO_MANY_GUESSES:
                self._server.close(login_replies.too_many_guesses(denied.seconds))
            case Denial.TOO_MANY_CHECKS:
                self._server.answer(login_replies.too_many_checks(denied.seconds))
            case _:
                assert_never(denied.why)
        return denied.why.value

    def _log_failure(self, request: AuthRequest, result: LoggedIn | Denied) -> None:
        name = request.proof.username[:_LOGGED_CHARACTERS]
        log.info(
            "auth_failed",
            client=self._receiver.client,
            mechanism=request.mechanism,
            username=name if name.isprintable() else ascii(name),
            **_explained(request.proof, result),
        )

    def _login_refusal(self, login: Login, shared: SharedName | None) -> Reply | None:
        return login_refusal(
            self._receiver.facts.profile.session,
            login.permissions,
            self._listener,
            self._receiver.client,
            tls=bool(self._server.state.tls),
            shared=shared,
        )

    async def _refuse_login(self, reply: Reply, began: float) -> str:
        """Answer, after the same time whatever was wrong."""
        limits = self._context.limits
        self._failed_logins += 1
        elapsed = self._context.clock() - began
        await asyncio.sleep(seconds_until_answer(elapsed, limits.login_failure_seconds))
        self._server.answer(reply)
        if self._failed_logins >= limits.login_failures:
            self._server.close(login_replies.TOO_MANY_FAILED_LOGINS)
        return "refused"

    def _facts(self, login: Login) -> SessionFacts:
        known = self._context.facts
        if self._child is None:
            return known.of(login)
        return replace(known.of(login.only_for(self._child)), parent_id=login.account_id)

    async def is_current(self) -> bool:
        """Whether the login still counts, with what it means now; else the session ends."""
        assert self._login is not None  # MAIL is open only then
        try:
            login = await self._context.authenticator.current(self._login, self._secret_hash)
            if login is not None and login is not self._login:
                self._receiver.facts = self._facts(login)
                if self._login_refusal(login, self._shared):  # its profile allows it here no more
                    login = None
        except _CANNOT_TELL as error:
            self._receiver.turn_away(refusals.FAULT, error)
            return False
        self._login = login
        if login is None:
            self._server.close(login_replies.LOGIN_ENDED)
        return login is not None


def _explained(proof: Proof, result: LoggedIn | Denied) -> dict[str, str]:
    """What the log says about a login that failed, where there is more to know."""
    if isinstance(result, LoggedIn):
        return {"advice": _NOT_HERE_ADVICE}
    advice = _SHARED_NAME_ADVICE if is_misplaced(proof) else result.advice
    limited = {"limited": result.why.value} if result.seconds else {}
    return limited | ({"advice": advice} if advice else {})


def _failed(shared: SharedName | None) -> Reply:
    return shared.failed if shared else login_replies.AUTH_FAILED
