"""Who a client is: credentials looked up, compared, and remembered for half a minute."""

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeVar

from ingest.core.commands import Credentials
from ingest.core.network import network_of
from posthouse.mail.secret import hash_secret
from posthouse.store import StoreUnavailable
from posthouse.store.accounts import Login

V = TypeVar("V")

_REMEMBERED_SECONDS = 30.0
_REMEMBERED_LOGINS = 10_000
_GUESSES = 100  # wrong ones that an address has...
_GUESSING_SECONDS = 600.0  # ...in this time
_GUESSERS = 10_000
_NO_HASH = bytes(32)  # of no secret: BLAKE2b has no known preimage of zeros


class Directory(Protocol):
    """Where credentials are kept."""

    async def login(self, username: str) -> Login | None:
        """The active credential of that name; raises StoreUnavailable."""


class Denial(Enum):
    """Why nobody was logged in."""

    WRONG = "wrong"  # user or secret: which of them is not told, nor can it be timed
    TOO_MANY_GUESSES = "too_many_guesses"  # from this address, of late


@dataclass(frozen=True, slots=True)
class _Remembered:
    login: Login
    until: float


class Authenticator:
    """Checks credentials against a directory.

    A login is believed for half a minute after the directory said so: for as long a withdrawn
    credential still works, and a directory that is away goes unnoticed.
    """

    def __init__(
        self, directory: Directory, pepper: bytes, clock: Callable[[], float], patience: float
    ) -> None:
        """*clock* tells monotonic seconds; *patience* is how many the directory may take."""
        self._directory = directory
        self._pepper = pepper
        self._clock = clock
        self._patience = patience
        self._remembered: dict[str, _Remembered] = {}
        self._guesses = _Guesses()

    async def authenticate(self, credentials: Credentials, client: str) -> Login | Denial:
        """Log in from address *client*; raises StoreUnavailable when nobody can tell."""
        secret_hash = hash_secret(credentials.secret, self._pepper)
        known = self._recall(credentials.username)
        if known is not None and hmac.compare_digest(known.secret_hash, secret_hash):
            return known
        # Only who is not known already can be locked out by others at the same address.
        if self._guesses.are_too_many(client, self._clock()):
            return Denial.TOO_MANY_GUESSES

        login = await self._look_up(credentials.username)
        expected = _NO_HASH if login is None else login.secret_hash
        if not hmac.compare_digest(expected, secret_hash) or login is None:
            self._guesses.count(client, self._clock())
            return Denial.WRONG
        self._remember(login)
        return login

    async def current(self, login: Login) -> Login | None:
        """What *login* is by now; None when it was withdrawn or its secret changed.

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
            async with asyncio.timeout(self._patience):
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
        return self._lately(network_of(client), now)[0] >= _GUESSES

    def count(self, client: str, now: float) -> None:
        network = network_of(client)
        guesses, since = self._lately(network, now)
        _put(self._by_network, network, (guesses + 1, since), _GUESSERS)

    def _lately(self, network: str, now: float) -> tuple[int, float]:
        guesses, since = self._by_network.get(network, (0, now))
        return (guesses, since) if now - since < _GUESSING_SECONDS else (0, now)


def _put(entries: dict[str, V], key: str, value: V, most: int) -> None:
    """Make *key* the newest entry; drop the oldest when there are more than *most*."""
    entries.pop(key, None)
    if len(entries) >= most:
        del entries[next(iter(entries))]
    entries[key] = value
