"""Suspects tried where everything else is: for tests in which nothing ends its process."""

from dataclasses import dataclass, field

from dispatcher.delivery_attempt import DeliveryAttempts
from posthouse.store.deliveries import ClaimedDelivery, Settlement


@dataclass
class NoIsolation:
    """Remembers what was to be isolated."""

    attempts: DeliveryAttempts
    tried: list[ClaimedDelivery] = field(default_factory=list)

    async def run(self, claimed: ClaimedDelivery) -> Settlement | None:
        """See `dispatcher.isolation.Isolation`."""
        self.tried.append(claimed)
        result = await self.attempts.run(claimed)
        assert isinstance(result, Settlement)
        return result
