"""Who calls: the secret that comes with each request is proven as at AUTH (RULES X03)."""

import asyncio

import structlog
from prometheus_client import Counter

from ingest.core.admission import SessionFacts
from ingest.core.login_replies import TLS_REQUIRED
from ingest.core.login_rules import login_refusal
from ingest.core.shared_names import SharedName, own_proof, shared_name
from ingest.http.http_request import HttpRequest
from ingest.session_context import SessionContext
from posthouse.authentication.authenticator import Denial, Denied, LoggedIn
from posthouse.authentication.authorization_field import NoProof, proof_in
from posthouse.authentication.login_limits import seconds_until_answer
from posthouse.authentication.proofs import LoginProof
from posthouse.http.problem import AGAIN, Kind, Problem
from posthouse.mail.permission import Permission
from posthouse.profiles import InvalidOverride, UnknownProfile
from posthouse.smtp.commands import Credentials
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.logins import Login

log = structlog.get_logger()

CALLERS = Counter("posthouse_http_auth", "Callers over HTTP", ["result"])

_CANNOT_TELL = (StoreUnavailable, StoreRefused, UnknownProfile, InvalidOverride)
_LOGGED_CHARACTERS = 80
_CHALLENGE = (("www-authenticate", 'Bearer realm="posthouse", Basic realm="posthouse"'),)


class Callers:
    """Proves callers."""

    def __init__(self, context: SessionContext, listener: str) -> None:
        """*listener*: as knobs name it."""
        self._context = context
        self._listener = listener

    async def facts(self, request: HttpRequest) -> SessionFacts:
        """What the one who calls may do, by Basic or Bearer; raises Problem."""
        proof, key = _proof(request.field("authorization"))
        shared = shared_name(proof)
        own, key = (own_proof(proof), proof.secret) if shared else (proof, key)
        return await self.proven(request, own, key=key, shared=shared)

    async def proven(
        self,
        request: HttpRequest,
        proof: LoginProof,
        *,
        key: str = "",
        shared: SharedName | None = None,
    ) -> SessionFacts:
        """What the one may do whom *proof* or *key* shows; raises Problem.

        *shared*: the user name that was given, if it is no name of its own.
        """
        began = self._context.clock()
        found = await self._found(proof, key, request.client)
        for_child = shared is not None and shared.child  # which SMTP alone carries out (T07)
        if not isinstance(found, Denied) and not for_child:
            login, facts = found
            if self._may_call(request, login, facts, shared):
                self._count(request, login)
                CALLERS.labels("accepted").inc()
                request.belongs_to(facts.username)
                return facts
        CALLERS.labels("refused").inc()
        name = proof.username[:_LOGGED_CHARACTERS]
        shown = name if name.isprintable() else ascii(name)
        advice = {"advice": found.advice} if isinstance(found, Denied) and found.advice else {}
        log.info("auth_failed", client=request.client, mechanism="HTTP", username=shown, **advice)
        elapsed, step = self._context.clock() - began, self._context.limits.login_failure_seconds
        await asyncio.sleep(seconds_until_answer(elapsed, step))
        raise _unknown("The user or its secret is wrong")

    def _may_call(
        self, request: HttpRequest, login: Login, facts: SessionFacts, shared: SharedName | None
    ) -> bool:
        """Whether the login counts here; raises Problem where the reason may be said."""
        if Permission.HTTP not in login.permissions:  # who holds the secret may know that
            detail = f"This user has no permission {Permission.HTTP}: give it that, or use another"
            raise Problem(403, Kind.FORBIDDEN, detail, code="5.7.1")
        knobs, tls, client = facts.profile.session, bool(request.tls), request.client
        refusal = login_refusal(
            knobs,
            login.permissions,
            self._listener,
            client,
            tls=tls,
            shared=shared,
            needed=Permission.HTTP,
        )
        if refusal is TLS_REQUIRED:
            raise Problem(403, Kind.FORBIDDEN, "This user may call over TLS only", code="5.7.11")
        return refusal is None

    def _count(self, request: HttpRequest, login: Login) -> None:
        """Count *request* until it is answered; raises Problem if there are too many."""
        refusal = self._context.connections.log_in(request, login.credential_id)
        if refusal is not None:
            CALLERS.labels("connections").inc()
            raise Problem(429, Kind.TOO_MANY, refusal.text, code=refusal.enhanced, fields=AGAIN)

    async def _found(
        self, proof: LoginProof, key: str, client: str
    ) -> tuple[Login, SessionFacts] | Denied:
        """The owner of *proof* or of *key*, and what it may do; raises Problem."""
        try:
            result = await self._context.authenticator.authenticate(proof, client, key=key)
            if isinstance(result, LoggedIn):
                return result.login, self._context.facts.of(result.login, has_options=True)
        except _CANNOT_TELL as error:
            CALLERS.labels("unavailable").inc()
            log.warning("auth_unavailable", client=client, reason=str(error))
            detail = "It cannot be told who calls, try again later"
            raise Problem(503, Kind.UNAVAILABLE, detail, code="4.7.0", fields=AGAIN) from error
        if result.why is Denial.WRONG:
            return result
        CALLERS.labels(result.why).inc()
        log.info("auth_failed", client=client, mechanism="HTTP", limited=result.why)
        detail = f"Too many failed logins, try again in {result.seconds} seconds"
        fields = (("retry-after", str(result.seconds)),)
        raise Problem(429, Kind.TOO_MANY, detail, code="4.7.0", fields=fields)


def _proof(authorization: str | None) -> tuple[Credentials, str]:
    try:
        return proof_in(authorization)
    except NoProof as error:
        raise _unknown(str(error)) from None


def _unknown(detail: str) -> Problem:
    return Problem(401, Kind.UNAUTHORIZED, detail, code="5.7.8", fields=_CHALLENGE)
