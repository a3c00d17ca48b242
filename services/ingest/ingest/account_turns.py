"""Accounts take turns at what only one message at a time may have."""

import asyncio
from uuid import UUID
from weakref import WeakValueDictionary


class AccountTurns:
    """A lock for each account, to be held by what waits for the one thing and by what has it.

    So one message of each account waits for it, in the order in which they came: who sends many
    waits for himself, and others for one message of each account.
    """

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    def of(self, account: UUID) -> asyncio.Lock:
        """That of *account*."""
        return self._locks.setdefault(account, asyncio.Lock())
