"""Who calls, and which accounts it may ask about (RULES X03)."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from prometheus_client import Counter

from posthouse.authentication.authenticator import Authenticator, Denial, Denied
from posthouse.authentication.authorization_field import NoProof, proof_in
from posthouse.authentication.client_networks import is_within
from posthouse.authentication.login_limits import seconds_until_answer
from posthouse.authentication.login_profile import profile_of
from posthouse.http.problem import AGAIN, Kind, Problem
from posthouse.mail.permission import Permission
from posthouse.profiles import InvalidOverride, UnknownProfile
from posthouse.smtp.commands import Credentials
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.accounts import AccountStore
from posthouse.store.logins import Login

log = structlog.get_logger()

CALLERS = Counter("posthouse_console_auth", "Callers of the console's API", ["result"])

_CANNOT_TELL = (StoreUnavailable, StoreRefused, UnknownProfile, InvalidOverride)
_LOGGED_CHARACTERS = 80
_FAILURE_SECONDS = 0.5  # the answer to a wrong secret comes at multiples of it
_CHALLENGE = (("www-authenticate", 'Bearer realm="posthouse", Basic realm="posthouse"'),)


@dataclass(frozen=True, slots=True)
class KeyCaller:
    """The user that calls."""

    username: str
    credential_id: UUID
    account_id: UUID
    accounts: Mapping[str, UUID]  # by name: its own and the children of that
    permissions: frozenset[str]

    @property
    def actor(self) -> str:
        """As the audit names it."""
        return f"HTTP: {self.username}"


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a request comes from."""

    address: str
    has_tls: bool


class KeyCallers:
    """Proves callers."""

    def __init__(
        self, authenticator: Authenticator, accounts: AccountStore, clock: Callable[[], float]
    ) -> None:
        """*clock* tells monotonic seconds."""
        self._authenticator = authenticator
        self._accounts = accounts
        self._clock = clock

    async def caller(self, authorization: str | None, peer: Peer) -> KeyCaller:
        """Who the Authorization field shows; raises Problem."""
        try:
            proof, key = proof_in(authorization)
        except NoProof as error:
            raise _unknown(str(error)) from None
        began = self._clock()
        try:
            login = await self._login(proof, key, peer)
            family = [] if login is None else await self._accounts.family(login.account_id)
        except _CANNOT_TELL as error:
            CALLERS.labels("unavailable").inc()
            log.warning("auth_unavailable", client=peer.address, reason=str(error))
            detail = "It cannot be told who calls, try again later"
            raise Problem(503, Kind.UNAVAILABLE, detail, code="4.7.0", fields=AGAIN) from error
        if login is None:
            CALLERS.labels("refused").inc()
            await asyncio.sleep(seconds_until_answer(self._clock() - began, _FAILURE_SECONDS))
            raise _unknown("The user or its secret is wrong")
        CALLERS.labels("accepted").inc()
        return _caller(login, family)

    async def _login(self, proof: Credentials, key: str, peer: Peer) -> Login | None:
        """The login of who calls, if it counts from there; raises Problem."""
        found = await self._authenticator.authenticate(proof, peer.address, key=key)
        if not isinstance(found, Denied):
            session = profile_of(found.login)[0].session
            networks = session.allowed_networks
            if not networks or is_within(peer.address, networks):
                if session.require_tls and not peer.has_tls:
                    detail = "This user may call over TLS only"
                    raise Problem(403, Kind.FORBIDDEN, detail, code="5.7.11")
                return found.login
        elif found.why is not Denial.WRONG:
            raise _too_many(found, peer)
        name = proof.username[:_LOGGED_CHARACTERS]
        shown = name if name.isprintable() else ascii(name)
        log.info("auth_failed", client=peer.address, mechanism="HTTP", username=shown)
        return None


def needing(caller: KeyCaller, permission: Permission | None) -> None:
    """Raise Problem unless the caller has that permission; None: whoever it is."""
    if permission is not None and permission not in caller.permissions:
        detail = f"This user has no permission {permission}: give it that, or use another"
        raise Problem(403, Kind.FORBIDDEN, detail, code="5.7.1")


def _caller(login: Login, family: Sequence[tuple[str, UUID]]) -> KeyCaller:
    return KeyCaller(
        username=login.username,
        credential_id=login.credential_id,
        account_id=login.account_id,
        accounts=dict(family),
        permissions=login.permissions,
    )


def _too_many(denied: Denied, peer: Peer) -> Problem:
    CALLERS.labels(denied.why).inc()
    log.info("auth_failed", client=peer.address, mechanism="HTTP", limited=denied.why)
    detail = f"Too many failed logins, try again in {denied.seconds} seconds"
    fields = (("retry-after", str(denied.seconds)),)
    return Problem(429, Kind.TOO_MANY, detail, code="4.7.0", fields=fields)


def _unknown(detail: str) -> Problem:
    return Problem(401, Kind.UNAUTHORIZED, detail, code="5.7.8", fields=_CHALLENGE)
