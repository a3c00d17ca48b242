"""Slow headers are read in a thread, one of each account at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar
from uuid import UUID

from ingest.account_turns import AccountTurns

P = ParamSpec("P")
T = TypeVar("T")


class HeaderThread:
    """One thread, so that the event loop has half of the interpreter's time.

    A header takes up to some 70 ms of it; accounts take turns.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "headers")
        self._accounts = AccountTurns()

    async def run(
        self, account: UUID, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What *work* returns, for a message of *account*."""
        async with self._accounts.of(account):
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, partial(work, *args, **kwargs))
