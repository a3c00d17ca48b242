"""Which domains other accounts have verified: asked of the store, remembered for half a minute."""

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol
from uuid import UUID

from posthouse.store import StoreUnavailable

_REMEMBERED_SECONDS = 30.0
_REMEMBERED_DOMAINS = 10_000


class DomainRegister(Protocol):
    """The store of sending domains."""

    async def owned_elsewhere(self, account_id: UUID, domains: Collection[str]) -> frozenset[str]:
        """Those of *domains* that only others have verified; raises StoreUnavailable."""


class DomainOwners:
    """Asks a register, with a limit of time.

    What it says is remembered for half a minute. Until then a domain that was verified elsewhere
    may still be used.
    """

    def __init__(
        self, register: DomainRegister, clock: Callable[[], float], seconds: float
    ) -> None:
        """*clock* tells monotonic seconds; *seconds*: the time that the register has."""
        self._register = register
        self._clock = clock
        self._seconds = seconds
        self._remembered: dict[tuple[UUID, str], tuple[bool, float]] = {}

    async def owned_elsewhere(self, account_id: UUID, domains: Collection[str]) -> frozenset[str]:
        """Those of *domains*, in lower case as A-labels, that only others have verified.

        Raises StoreUnavailable.
        """
        now = self._clock()
        known = {domain: self._recall(account_id, domain, now) for domain in domains}
        unknown = [domain for domain, elsewhere in known.items() if elsewhere is None]
        found = frozenset(domain for domain, elsewhere in known.items() if elsewhere)
        return found | await self._ask(account_id, unknown) if unknown else found

    async def _ask(self, account_id: UUID, domains: Collection[str]) -> frozenset[str]:
        try:
            async with asyncio.timeout(self._seconds):
                found = await self._register.owned_elsewhere(account_id, domains)
        except TimeoutError as error:
            raise StoreUnavailable("no answer about a domain in time") from error
        until = self._clock() + _REMEMBERED_SECONDS
        for domain in domains:
            self._remember((account_id, domain), (domain in found, until))
        return found

    def _recall(self, account_id: UUID, domain: str, now: float) -> bool | None:
        elsewhere, until = self._remembered.get((account_id, domain), (None, now))
        return elsewhere if now < until else None

    def _remember(self, key: tuple[UUID, str], entry: tuple[bool, float]) -> None:
        self._remembered.pop(key, None)
        if len(self._remembered) >= _REMEMBERED_DOMAINS:
            del self._remembered[next(iter(self._remembered))]  # the one asked for first
        self._remembered[key] = entry
