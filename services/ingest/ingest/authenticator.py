"""Who a client is: credentials are looked up, compared, and remembered for half a minute."""

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeVar

from ingest.backpressure import network_of
from ingest.core.message_checks import SessionFacts, checks
from posthouse.mail.secret import hash_secret
from posthouse.profiles import resolve
from posthouse.smtp.commands import Credentials
from posthouse.store import StoreUnavailable
from posthouse.store.accounts import Login

V = TypeVar("V")

_REMEMBERED_SECONDS = 30.0
_REMEMBERED_LOGINS = 10_000
_MAX_GUESSES = 100  # wrong credentials from one address...
_GUESSING_SECONDS = 600.0  # ...within this time
_REMEMBERED_NETWORKS = 10_000
_NO_HASH = bytes(32)  # of no secret: BLAKE2b has no known preimage of zeros


def facts_of(login: Login, max_message_octets: int, max_header_octets: int) -> SessionFacts:
    """The session facts of *login*; raises UnknownProfile and InvalidOverride."""
    own = login.own_profile
    if own is None:
        profile = resolve(login.profile)
        revision = profile.revision
    else:
        profile = resolve(own.preset, own.preset_revision, own.knobs)
        revision = own.revision
    limit = profile.size.max_message_octets
    return SessionFacts(
        account_id=login.account_id,
        credential_id=login.credential_id,
        username=login.username,
        domains=login.domains | login.child_domains.keys(),
        child_domains=login.child_domains,
        lane=login.lane,
        highest_lane=login.highest_lane,
        profile=profile,
        profile_name=login.profile,
        profile_revision=revision,
        max_message_octets=min(limit, max_message_octets) if limit else max_message_octets,
        max_header_octets=max_header_octets,
        checks=checks(profile),
    )


class Directory(Protocol):
    """The store of credentials."""

    async def login(self, username: str) -> Login | None:
        """The active credential of that name; raises StoreUnavailable."""


class Denial(Enum):
    """Why a login failed."""

    WRONG = "wrong"  # user or secret: neither reply nor its time tells which
    TOO_MANY_GUESSES = "too_many_guesses"  # from this address, in the last minutes


@dataclass(frozen=True, slots=True)
class _Remembered:
    login: Login
    until: float


class Authenticator:
    """Checks credentials against a directory.

    A login is remembered for half a minute. Until then a credential that was withdrawn still works,
    and a directory that is away is not noticed.
    """

    def __init__(
        self, directory: Directory, pepper: bytes, clock: Callable[[], float], seconds: float
    ) -> None:
        """*clock* tells monotonic seconds; *seconds*: the time that the directory has."""
        self._directory = directory
        self._pepper = pepper
        self._clock = clock
        self._seconds = seconds
        self._remembered: dict[str, _Remembered] = {}
        self._guesses = _Guesses()

    async def authenticate(self, credentials: Credentials, client: str) -> Login | Denial:
        """Log in from address *client*; raises StoreUnavailable when the directory fails."""
        secret_hash = hash_secret(credentials.secret, self._pepper)
        known = self._recall(credentials.username) if credentials.can_be_known else None
        if known is not None and hmac.compare_digest(known.secret_hash, secret_hash):
            return known
        # Others at the same address cannot lock out a client that is remembered.
        if self._guesses.are_too_many(client, self._clock()):
            return Denial.TOO_MANY_GUESSES

        login = await self._look_up(credentials.username) if credentials.can_be_known else None
        expected = _NO_HASH if login is None else login.secret_hash
        if not hmac.compare_digest(expected, secret_hash) or login is None:
            self._guesses.count(client, self._clock())
            return Denial.WRONG
        self._remember(login)
        return login

    async def current(self, login: Login) -> Login | None:
        """What *login* is now; None when it was withdrawn or its secret changed.

        Raises StoreUnavailable.
        """
        known = self._recall(login.username)
        if known is not None and known.secret_hash == login.secret_hash:
            return known
        known = await self._look_up(login.username)
        if known is None or known.secret_hash != login.secret_hash:
            return None
        self._remember(known)
        return known

    async def _look_up(self, username: str) -> Login | None:
        try:
            async with asyncio.timeout(self._seconds):
                return await self._directory.login(username)
        except TimeoutError as error:
            raise StoreUnavailable("no answer about a credential in time") from error

    def _recall(self, username: str) -> Login | None:
        entry = self._remembered.get(username)
        return entry.login if entry is not None and self._clock() < entry.until else None

    def _remember(self, login: Login) -> None:
        entry = _Remembered(login, self._clock() + _REMEMBERED_SECONDS)
        _put(self._remembered, login.username, entry, _REMEMBERED_LOGINS)


class _Guesses:
    """Wrong credentials by network; forgets the oldest when there are too many networks."""

    def __init__(self) -> None:
        self._by_network: dict[str, tuple[int, float]] = {}

    def are_too_many(self, client: str, now: float) -> bool:
        return self._lately(network_of(client), now)[0] >= _MAX_GUESSES

    def count(self, client: str, now: float) -> None:
        network = network_of(client)
        guesses, since = self._lately(network, now)
        _put(self._by_network, network, (guesses + 1, since), _REMEMBERED_NETWORKS)

    def _lately(self, network: str, now: float) -> tuple[int, float]:
        guesses, since = self._by_network.get(network, (0, now))
        return (guesses, since) if now - since < _GUESSING_SECONDS else (0, now)


def _put(entries: dict[str, V], key: str, value: V, most: int) -> None:
    """Make *key* the newest entry; drop the oldest when there are more than *most*."""
    entries.pop(key, None)
    if len(entries) >= most:
        del entries[next(iter(entries))]
    entries[key] = value
