"""The store of credentials, as a login asks it: each question has its time."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar
from uuid import UUID

from posthouse.store import StoreUnavailable
from posthouse.store.logins import Login

T = TypeVar("T")


class Directory(Protocol):
    """The store of credentials; raises StoreUnavailable."""

    async def login(self, username: str) -> Login | None:
        """The active credential of that name."""

    async def scram(self, username: str) -> bytes | None:
        """Its `ScramKeys`, if there are any."""

    async def user_of_secret(self, secret_hash: bytes) -> str | None:
        """The user whose secret has that hash; None if no one has it, or several."""

    async def child(self, account_id: UUID, name: str) -> UUID | None:
        """The child of the account that is called *name*."""


class PatientDirectory:
    """A directory that is away, too, when it does not answer in time."""

    def __init__(self, directory: Directory, seconds: float) -> None:
        """*seconds*: the time for each answer."""
        self._directory = directory
        self._seconds = seconds

    async def login(self, username: str) -> Login | None:
        """See `Directory`."""
        return await self._in_time(self._directory.login(username))

    async def scram(self, username: str) -> bytes | None:
        """See `Directory`."""
        return await self._in_time(self._directory.scram(username))

    async def user_of_secret(self, secret_hash: bytes) -> str | None:
        """See `Directory`."""
        return await self._in_time(self._directory.user_of_secret(secret_hash))

    async def child(self, account_id: UUID, name: str) -> UUID | None:
        """See `Directory`."""
        return await self._in_time(self._directory.child(account_id, name))

    async def _in_time(self, answer: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout(self._seconds):
                return await answer
        except TimeoutError as error:
            raise StoreUnavailable("no answer about a credential in time") from error
