"""Returned mail: the delivery it belongs to, and the record of the result."""

from uuid import UUID

from posthouse.mail.address import normal_form
from posthouse.mail.events import Event
from posthouse.mail.submission import Delivery
from posthouse.store.deliveries import delivery_in
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES


class ReturnStore:
    """The statements of the bounces service."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def find(self, delivery_id: UUID) -> Delivery | None:
        """The delivery of that id, None once it is unknown or past retention."""
        row = await self._database.first("find_delivery", delivery_id)
        return None if row is None else delivery_in(row)

    async def record(self, event: Event, *, suppress: str | None) -> bool:
        """Commit *event* and, when *suppress* names a recipient, its suppression; True if new.

        One event is kept per delivery and kind: a second one writes nothing, so that a
        suppression that was lifted by hand does not come back by a replay.
        """
        async with self._database.connection() as connection, connection.transaction():
            # The lock is a statement of its own: the next one then sees a concurrent commit.
            await connection.execute(QUERIES["lock_delivery"], event.delivery_id)
            rows = await connection.fetch(
                QUERIES["record_return"],
                event.account_id,
                event.submission_id,
                event.delivery_id,
                event.kind,
                event.detail,
                suppress,
                None if suppress is None else normal_form(suppress),
            )
            return bool(rows)
