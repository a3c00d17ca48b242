"""Returned mail: whose delivery it speaks of, what it says, and what we write down."""

from typing import Protocol
from uuid import UUID

from posthouse.mail.events import Event
from posthouse.mail.submission import Delivery


class Returns(Protocol):
    """What this service asks of the store; both raise StoreUnavailable or StoreRefused."""

    async def find(self, delivery_id: UUID) -> Delivery | None:
        """The delivery of that id, None once it is unknown or past retention."""

    async def record(self, event: Event, *, suppress: str | None) -> bool:
        """Commit *event* and, when *suppress* names a recipient, its suppression; True if new.

        Both in one transaction. The suppression is the event's account's, for that recipient,
        with the event's detail as its evidence. One event is kept per delivery and kind: a
        second one writes nothing at all (a suppression that was removed by hand does not come
        back by a replay) and gives False.
        """
