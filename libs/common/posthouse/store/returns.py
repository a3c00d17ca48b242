"""Returned mail: the delivery it belongs to, and the record of the result."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from posthouse.mail.address import normal_form
from posthouse.mail.address_failure import AddressFailure, AgainstAddress, Objection
from posthouse.mail.due_results import Means
from posthouse.mail.events import Event
from posthouse.mail.submission import Delivery, Submission
from posthouse.store.bounce_limits import failure_rows
from posthouse.store.deliveries import delivery_in
from posthouse.store.notices import accept_within
from posthouse.store.postgres import Postgres
from posthouse.store.queries import QUERIES

# Different reports about one delivery that are recorded; who has its return path may write any
# number of them.
_MOST_EVENTS = 100


class ReturnStore:
    """The statements of the bounces service."""

    def __init__(self, database: Postgres) -> None:
        self._database = database

    async def find(self, delivery_id: UUID) -> Delivery | None:
        """The delivery of that id, None once it is unknown or past retention."""
        row = await self._database.first("find_delivery", delivery_id)
        return None if row is None else delivery_in(row)

    async def deliveries_of(self, submission_id: UUID) -> tuple[Delivery, ...]:
        """The deliveries of that submission; none once it is unknown or past retention."""
        rows = await self._database.fetch("find_deliveries_of", submission_id)
        return tuple(delivery_in(row) for row in rows)

    async def takes_mail_for(self, host: str) -> bool:
        """Whether *host*, in lower case, is the return-path host of a sending domain."""
        return bool(await self._database.fetch("find_return_path_host", host))

    async def bounce_address(self, submission_id: UUID) -> tuple[str, str] | None:
        """Sender of that submission and the bounce address of its account, if it has one.

        None for messages of ours: what comes back of them is not sent on.
        """
        row = await self._database.first("find_bounce_address", submission_id)
        return None if row is None else (row["sender"], row["bounce_address"])

    async def record(
        self,
        event: Event,
        delivery: Delivery | None,
        against: AgainstAddress | None = None,
        *,
        forward: Submission | None = None,
    ) -> str | None:
        """Commit *event* of *delivery*, and what it says *against* its recipient.

        Gives the list that it put the recipient on ("none" if on none), or None if it was recorded
        before.
        The lists change in the same transaction: a failure is counted by the limits of the mail's
        profile, an objection lists the recipient at once. A second event about the same submission
        with the same `digest` in its detail writes nothing, so that an entry that was removed by
        hand does not come back by a replay. With it *forward* is accepted, which contains the
        returned message.
        """
        if isinstance(against, Objection):
            event = replace(event, detail={**event.detail, "listed": against.list.value})
        async with self._database.connection() as connection:
            failure = await _failure_row(connection, delivery, against)
            async with connection.transaction():
                # The lock is a statement of its own: the next one then sees a concurrent commit.
                about = event.delivery_id or event.submission_id
                await connection.execute(QUERIES["lock_returned"], about)
                row = event.account_id, event.submission_id, event.delivery_id, event.kind
                new = await connection.fetchrow(
                    QUERIES["record_return"], *row, event.detail, failure, _MOST_EVENTS
                )
                if new and delivery is not None and isinstance(against, Objection):
                    listed = _objection(event, delivery.recipient, against)
                    await connection.execute(QUERIES["add_suppression"], *listed)
                if new and forward is not None:
                    await _forward(connection, event, forward)
        return new["listed"] if new else None


async def _failure_row(
    connection: Any, delivery: Delivery | None, against: AgainstAddress | None
) -> tuple[Any, ...] | None:
    if delivery is None or not isinstance(against, AddressFailure):
        return None
    rows = await failure_rows(
        lambda name, ids: connection.fetch(QUERIES[name], ids), [(delivery, against)]
    )
    return rows.get(delivery.id)


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
