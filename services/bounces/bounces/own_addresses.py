"""Which addresses the bounce port takes mail for."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Protocol, TypeAlias
from uuid import UUID

from posthouse.mail.address import normal_form
from posthouse.mail.return_path import InvalidReturnPath, verify
from posthouse.mail.submission import Delivery
from posthouse.tracking.token import TokenKey, UnsubscribeToken, read
from posthouse.tracking.unsubscribe_address import token_in

# Every host that takes mail has them (RFC 5321 section 4.5.1, RFC 2142 sections 2 and 4).
_ROLES = frozenset({"postmaster", "abuse"})


class Owners(Protocol):
    """What the port asks of the store. Each method raises StoreUnavailable."""

    async def find(self, delivery_id: UUID) -> Delivery | None:
        """The delivery with that id; None if there is none, or none any longer."""

    async def takes_mail_for(self, host: str) -> bool:
        """Whether *host*, in lower case, is the return-path host of a sending domain."""


@dataclass(frozen=True, slots=True)
class RoleAddress:
    """An address of ours that people, and providers with their complaints, write to."""

    address: str


@dataclass(frozen=True, slots=True)
class UnsubscribeAddress:
    """An address that recipients' mail programs write to so as to unsubscribe (RFC 2369)."""

    address: str
    delivery: Delivery  # whose recipient it is


class NotOurs(StrEnum):
    """Why an address is not one of ours."""

    INVALID = "invalid"  # no return path signed by us, or from more than 14 days ago
    UNKNOWN = "unknown"  # signed by us, but there is no such delivery any longer
    FOREIGN = "foreign"  # signed by us, for another host


OwnAddress: TypeAlias = Delivery | RoleAddress | UnsubscribeAddress
Owner: TypeAlias = OwnAddress | NotOurs


class OwnAddresses:
    """Signed return paths, and those that people write to."""

    def __init__(
        self,
        owners: Owners,
        keys: Sequence[bytes],
        today: Callable[[], date],
        *,
        hosts: Collection[str] = (),
        complaint_addresses: Collection[str] = (),
        token_keys: Sequence[TokenKey] = (),
    ) -> None:
        """*hosts*: of this relay, beside the return-path hosts of sending domains.

        *token_keys*: of the addresses to unsubscribe by.
        """
        self._owners = owners
        self._keys = tuple(keys)
        self._today = today
        self._hosts = frozenset(host.lower() for host in hosts)
        self._complaint_addresses = frozenset(map(normal_form, complaint_addresses))
        self._token_keys = tuple(token_keys)

    async def owner(self, address: str) -> Owner:
        """Whose *address* is. Raises StoreUnavailable."""
        if normal_form(address) in self._complaint_addresses or await self._is_role(address):
            return RoleAddress(address)
        local_part, _, host = address.rpartition("@")
        if (letters := token_in(local_part)) is not None:
            return await self._unsubscribed_at(address, letters, host)
        return await self.returned_to(address)

    async def _unsubscribed_at(
        self, address: str, letters: str, host: str
    ) -> UnsubscribeAddress | NotOurs:
        token = read(letters, self._token_keys)
        if not isinstance(token, UnsubscribeToken):
            return NotOurs.INVALID
        if not await self._is_own_host(host.lower()):
            return NotOurs.FOREIGN
        delivery = await self._owners.find(token.delivery_id)
        return NotOurs.UNKNOWN if delivery is None else UnsubscribeAddress(address, delivery)

    async def returned_to(self, address: str) -> Delivery | NotOurs:
        """The delivery whose return path *address* is.

        The whole address must be the one that was signed, so only hosts are accepted that we
        signed for.
        """
        local_part = address.rpartition("@")[0]
        try:
            delivery_id = verify(local_part, self._keys, self._today())
        except InvalidReturnPath:
            return NotOurs.INVALID
        delivery = await self._owners.find(delivery_id)
        if delivery is None:
            return NotOurs.UNKNOWN
        if delivery.return_path.lower() != address.lower():
            return NotOurs.FOREIGN
        return delivery

    async def _is_role(self, address: str) -> bool:
        role, _, host = normal_form(address).rpartition("@")
        if role not in _ROLES:
            return False
        return await self._is_own_host(host)

    async def _is_own_host(self, host: str) -> bool:
        return host in self._hosts or await self._owners.takes_mail_for(host)
