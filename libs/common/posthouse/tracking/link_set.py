"""Where the links of a message lead, stored once for all messages with the same links."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple, Self
from uuid import UUID

from posthouse.tracking.token import LINK_SET_OCTETS


class LinkSet(NamedTuple):
    """Targets by their number, under an id that follows from them and their account.

    Nobody can find other targets under the same id: it has 80 bits of SHA-256.
    """

    id: bytes
    account_id: UUID
    targets: tuple[str, ...]

    @classmethod
    def of(cls, account_id: UUID, targets: Sequence[str]) -> Self:
        """The set of *targets*, links in their order."""
        digest = sha256(account_id.bytes)
        for target in targets:
            octets = target.encode()
            digest.update(len(octets).to_bytes(4, "big") + octets)
        return cls(digest.digest()[:LINK_SET_OCTETS], account_id, tuple(targets))


def distinct(sets: Iterable[LinkSet | None]) -> list[LinkSet]:
    """Those of *sets* that have targets, each once.

    They are in one order, so that no two batches that write them wait for each other.
    """
    return sorted({one.id: one for one in sets if one and one.targets}.values())
