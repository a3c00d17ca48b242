"""Returned mail: the delivery it belongs to, and the record of the result."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from posthouse.mail.address import normal_form
from posthouse.mail.address_failure import AddressFailure, AgainstAddress, Objection
from posthouse.mail.events import Event
from posthouse.mail.submission import Delivery, Submission
from posthouse.mail.undelivered import Means
from posthouse.store.bounce_limits import FailureRows
from posthouse.store.deliveries import delivery_in
from posthouse.store.notices import accept_within
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES


class ReturnStore:
    """The statements of the bounces service."""

    def __init__(self, database: Postgres) -> None:
        self._database = database
        self._failures = FailureRows(database)

    async def find(self, delivery_id: UUID) -> Delivery | None:
        """The delivery of that id, None once it is unknown or past retention."""
        row = await self._database.first("find_delivery", delivery_id)
        return None if row is None else delivery_in(row)

    async def bounce_address(self, submission_id: UUID) -> tuple[str, str] | None:
        """Sender of that submission and the bounce address of its account, if it has one.

        None for messages of ours: what comes back of them is not sent on.
        """
        row = await self._database.first("find_bounce_address", submission_id)
        return None if row is None else (row["sender"], row["bounce_address"])

    async def record(
        self,
        event: Event,
        delivery: Delivery,
        against: AgainstAddress | None = None,
        *,
        forward: Submission | None = None,
    ) -> bool:
        """Commit *event* of *delivery*, and what it says *against* its recipient; True if new.

        The lists change in the same transaction: a failure is counted by the limits of the mail's
        profile, an objection lists the recipient at once. One event is kept per delivery and kind:
        a second one writes nothing, so that an entry that was removed by hand does not come back
        by a replay. With it *forward* is accepted, which contains the returned message.
        """
        failures = {}
        if isinstance(against, AddressFailure):
            failures = await self._failures.of([(delivery, against)])
        elif against is not None:
            event = replace(event, detail={**event.detail, "listed": against.list.value})
        async with self._database.connection() as connection, connection.transaction():
            # The lock is a statement of its own: the next one then sees a concurrent commit.
            await connection.execute(QUERIES["lock_delivery"], event.delivery_id)
            told = (
                event.account_id,
                event.submission_id,
                event.delivery_id,
                event.kind,
                event.detail,
            )
            new = await connection.fetch(QUERIES["record_return"], *told, failures.get(delivery.id))
            if new and isinstance(against, Objection):
                entry = _objection(event, delivery.recipient, against)
                await connection.execute(QUERIES["add_suppression"], *entry)
            if new and forward is not None:
                await _forward(connection, event, forward)
            return bool(new)


def _objection(event: Event, recipient: str, objection: Objection) -> tuple[Any, ...]:
    """The parameters of add_suppression."""
    return (
        event.account_id, recipient, normal_form(recipient), objection.list.value, objection.scope,
        event.kind.value, event.detail, objection.rule, objection.rules, None, event.delivery_id,
    )  # fmt: skip


async def _forward(connection: Any, event: Event, forward: Submission) -> None:
    (to,) = forward.recipients
    await accept_within(connection, forward)
    await connection.fetch(
        QUERIES["note_forwarded"],
        event.account_id,
        event.submission_id,
        event.delivery_id,
        {"means": Means.FORWARD, "address": to, "notice": forward.id.hex},
    )
