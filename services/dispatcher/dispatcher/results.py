"""What came of deliveries, written down however long the store is away."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from uuid import UUID

import structlog

from dispatcher.window import Held
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.deliveries import Settlement

SETTLE_AGAIN_SECONDS = 0.2

log = structlog.get_logger()


class Results:
    """Settles claims; remembers the answers whose claim was lost."""

    # Should one come back to us, there is nothing to send again.
    _MOST_REMEMBERED = 1000

    def __init__(self, settle: Callable[[Settlement], Awaitable[bool]]) -> None:
        """*settle* commits a result; False when the claim was lost."""
        self._settle = settle
        self._remembered: dict[UUID, Settlement] = {}

    async def write_down(self, held: Held, result: Settlement) -> None:
        """Commit *result*, however often that takes."""
        id_ = held.claimed.delivery.id
        while True:
            try:
                # Under the claim of now: ours may have run out and be ours again.
                under = held.claimed
                if result.claimed is not under:
                    result = replace(result, claimed=under)
                if await self._settle(result):
                    return
                if under is held.claimed:
                    self._remember(id_, result)
                    return
            except StoreUnavailable:
                await asyncio.sleep(SETTLE_AGAIN_SECONDS)
            except StoreRefused as error:
                log.error("result_refused", delivery=id_.hex, reason=str(error))  # noqa: TRY400
                if result == result.bare():
                    return  # the lease runs out, and it is tried again
                result = result.bare()

    def _remember(self, delivery_id: UUID, result: Settlement) -> None:
        self._remembered[delivery_id] = result
        if len(self._remembered) > self._MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]

    def recall(self, delivery_id: UUID) -> Settlement | None:
        """What came of that delivery under a claim that was lost; it is not remembered twice."""
        return self._remembered.pop(delivery_id, None)
