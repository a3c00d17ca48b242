"""The sending domains in use, their keys unsealed and loaded, kept for some seconds."""

from collections.abc import Callable, Collection
from typing import Protocol, TypeAlias
from uuid import UUID

from policy.core.identity import Identity, Unusable
from posthouse.mail.dkim_key import BrokenKey, SigningKey
from posthouse.mail.secret import UnsealError, unseal
from posthouse.store.accounts import SendingDomain

Owned: TypeAlias = tuple[UUID, str]
"""An account and the name of a domain that may be its own."""

_MOST_KEPT = 10_000


Found: TypeAlias = Identity | Unusable | None
"""None: no verified domain of that account."""


class AccountStore(Protocol):
    """What is asked about accounts."""

    async def sending_domain(self, account_id: UUID, name: str) -> SendingDomain | None:
        """The account's verified domain called *name*. Raises StoreUnavailable."""


class Identities:
    """Looks sending domains up; a change shows after *seconds* at the latest."""

    def __init__(
        self,
        accounts: AccountStore,
        sealing_key: bytes,
        clock: Callable[[], float],
        *,
        seconds: float = 10.0,
    ) -> None:
        self._accounts = accounts
        self._sealing_key = sealing_key
        self._clock = clock
        self._seconds = seconds
        self._kept: dict[Owned, tuple[float, Found]] = {}

    async def find(self, wanted: Collection[Owned]) -> dict[Owned, Found]:
        """What is known of each of *wanted*. Raises StoreUnavailable."""
        found: dict[Owned, Found] = {}
        for owned in wanted:
            until, value = self._kept.get(owned, (0.0, None))
            found[owned] = value if self._clock() < until else await self._read(owned)
        return found

    async def _read(self, owned: Owned) -> Found:
        domain = await self._accounts.sending_domain(*owned)
        value = None if domain is None else self._opened(domain)
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[owned] = (self._clock() + self._seconds, value)
        return value

    def _opened(self, domain: SendingDomain) -> Identity | Unusable:
        try:
            keys = tuple(
                SigningKey.load(
                    domain.name, key.selector, key.algorithm, unseal(key.sealed, self._sealing_key)
                )
                for key in domain.keys
            )
        except UnsealError as error:
            return Unusable(f"a DKIM key of {domain.name} cannot be opened: {error}")
        except BrokenKey as error:
            return Unusable(str(error))
        return Identity(domain.name, domain.return_path_host, keys)
