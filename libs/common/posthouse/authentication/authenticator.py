"""Who a client is: credentials are looked up, compared, and remembered for half a minute."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from posthouse.authentication.directory import Directory, PatientDirectory
from posthouse.authentication.login_limits import LoginLimits, put
from posthouse.authentication.proofs import (
    AuthKeys,
    LoginProof,
    advice,
    keyed_hash,
    proven_hash,
    shown,
    slow_questions,
    stand_in,
)
from posthouse.authentication.slow_checks import SlowChecks, TooManyChecks
from posthouse.mail.scram import ScramKeys
from posthouse.smtp.commands import Credentials, is_user_name
from posthouse.store.logins import Login

_REMEMBERED_SECONDS = 30.0
_REMEMBERED_LOGINS = 10_000
_BUSY_SECONDS = 10


class LoggedIn(NamedTuple):
    """A login that was proven, and by which secret."""

    login: Login
    secret_hash: bytes  # as it is stored


class Denial(StrEnum):
    """Why a login failed."""

    WRONG = "refused"  # user or secret: neither reply nor its time tells which
    TOO_MANY_GUESSES = "too_many"  # in the last minutes
    TOO_MANY_CHECKS = "busy"  # at this time


@dataclass(frozen=True, slots=True)
class Denied:
    """A login that failed."""

    why: Denial
    seconds: int = 0  # after which it may be tried again
    advice: str = ""  # to the operator


@dataclass(frozen=True, slots=True)
class _Remembered:
    login: Login
    until: float


class Authenticator:
    """Checks credentials against a directory.

    A login is remembered for half a minute, and so is whose a key is. Until then a credential that
    was withdrawn still works, and a directory that is away is not noticed.
    """

    def __init__(
        self,
        directory: Directory,
        keys: AuthKeys,
        clock: Callable[[], float],
        seconds: float,
        *,
        attacked_seconds: float = 5.0,
        exempt: tuple[str, ...] = (),
    ) -> None:
        """*clock* tells monotonic seconds; *seconds*: the time that the directory has.

        *attacked_seconds*: how long a login waits while its user is guessed at; *exempt*: networks
        without limits of wrong logins.
        """
        self._directory = PatientDirectory(directory, seconds)
        self._keys = keys
        self._clock = clock
        self._attacked_seconds = attacked_seconds
        self._remembered: dict[str, _Remembered] = {}
        self._owners: dict[bytes, tuple[str, float]] = {}  # of keys by their hash, until then
        self._limits = LoginLimits(clock, exempt)
        self._checks = SlowChecks(clock)

    async def authenticate(
        self, proof: LoginProof, client: str, *, key: str = ""
    ) -> LoggedIn | Denied:
        """Log in from address *client*; raises StoreUnavailable when the directory fails.

        *key*: what may be the secret of any user, and *proof* else: `shared_names.own_proof`.
        """
        limits = self._limits
        by_key = key and keyed_hash(key, self._keys.pepper).hex()
        username = proof.username or by_key
        known = limits.is_known(client, username) or bool(key and limits.is_known(client, by_key))
        if not known:
            if seconds := limits.seconds_shut(client, username):
                return Denied(Denial.TOO_MANY_GUESSES, seconds)
            if limits.makes_wait(username):
                await asyncio.sleep(self._attacked_seconds)
        try:
            result = await self._prove(proof, key, known=known)
        except TooManyChecks:
            return Denied(Denial.TOO_MANY_CHECKS, _BUSY_SECONDS)
        if isinstance(result, LoggedIn):
            # A key may begin with the name of a user that it is not of.
            is_named = result.login.username == username
            limits.was_right(client, username if is_named else by_key)
        elif not known:
            limits.was_wrong(client, username)
        return result

    def knows(self, username: str, client: str) -> bool:
        """Whether that user logged in rightly from there within a week."""
        return self._limits.is_known(client, username)

    async def _prove(self, proof: LoginProof, key: str, *, known: bool) -> LoggedIn | Denied:
        if found := self._recalled(proof):
            return found
        can_be_known = _can_be_known(proof)
        user = await self._user_of(key) if key and can_be_known else None
        if user:
            proof = Credentials(user, key)
            if found := self._recalled(proof):
                return found
        login = await self._directory.login(proof.username) if can_be_known else None
        found = self._proven_at_once(login, proof) or await self._proven_slowly(
            login, proof, known=known
        )
        if found is None:
            return Denied(Denial.WRONG, advice=advice(login, proof))
        self._remember(found.login)
        return found

    def _recalled(self, proof: LoginProof) -> LoggedIn | None:
        login = self._recall(proof.username) if _can_be_known(proof) else None
        return None if login is None else self._proven_at_once(login, proof)

    async def _user_of(self, key: str) -> str | None:
        given, now = keyed_hash(key, self._keys.pepper), self._clock()
        owner, until = self._owners.get(given, ("", 0.0))
        if now < until:
            return owner
        found = await self._directory.user_of_secret(given)
        if found is not None:
            put(self._owners, given, (found, now + _REMEMBERED_SECONDS), _REMEMBERED_LOGINS)
        return found

    def _proven_at_once(self, login: Login | None, proof: LoginProof) -> LoggedIn | None:
        secret_hash = proven_hash(login, proof, self._keys)
        for question in slow_questions(login, proof, self._keys):
            if self._checks.remembers(question):
                secret_hash = question.stored
        return LoggedIn(login, secret_hash) if login and secret_hash else None

    async def _proven_slowly(
        self, login: Login | None, proof: LoginProof, *, known: bool
    ) -> LoggedIn | None:
        questions = slow_questions(login, proof, self._keys)
        for question in questions:
            if login and await self._checks.is_right(login.username, question, known=known):
                return LoggedIn(login, question.stored)
        if not questions:
            given = shown(proof, self._keys)
            await self._checks.as_long(proof.username or given.hex(), given, known=known)
        return None

    async def scram_keys(self, username: str) -> ScramKeys:
        """Salt and iterations of *username*; always the same ones in place of a user's that is not.

        It is asked each time, so that the time tells nothing. Raises StoreUnavailable when the
        directory fails.
        """
        stored = await self._directory.scram(username) if is_user_name(username) else None
        return ScramKeys.from_bytes(stored) if stored else stand_in(username, self._keys.pepper)

    async def child(self, login: Login, name: str) -> UUID | None:
        """The child of its account that is called *name*; raises StoreUnavailable."""
        return await self._directory.child(login.account_id, name)

    async def current(self, login: Login, secret_hash: bytes) -> Login | None:
        """What *login* is now; None when it was withdrawn or its secret counts no more.

        *secret_hash*: of the secret that proved it. Raises StoreUnavailable.
        """
        known = self._recall(login.username)
        if known is not None and secret_hash in (known.secret_hash, known.previous_hash):
            return known
        known = await self._directory.login(login.username)
        if known is None or secret_hash not in (known.secret_hash, known.previous_hash):
            return None
        self._remember(known)
        return known

    def _recall(self, username: str) -> Login | None:
        entry = self._remembered.get(username)
        return entry.login if entry is not None and self._clock() < entry.until else None

    def _remember(self, login: Login) -> None:
        entry = _Remembered(login, self._clock() + _REMEMBERED_SECONDS)
        put(self._remembered, login.username, entry, _REMEMBERED_LOGINS)


def _can_be_known(proof: LoginProof) -> bool:
    if isinstance(proof, Credentials):
        return proof.can_be_known
    return is_user_name(proof.username)
