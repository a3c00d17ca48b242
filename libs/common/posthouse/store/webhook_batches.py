"""Batches of events that wait for the endpoints of customers, and what becomes of requests."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from posthouse.store.postgres import Postgres
from posthouse.webhooks.event_batch import ClaimedBatch, EndpointFailures, WebhookAttempt

LEASE = timedelta(seconds=60)
_ROWS = 1_000  # forgotten by one statement


class WebhookBatches:
    """The statements of the sender.

    A crash of the database may undo a claim or a result: then events are sent once more.
    """

    def __init__(self, background: Postgres) -> None:
        """*background*: commits need not be synchronous."""
        self._database = background

    async def due_endpoints(self) -> list[UUID]:
        """Those to which something may be sent now."""
        return [row["id"] for row in await self._database.fetch("find_due_webhooks")]

    async def claim(
        self, endpoint_id: UUID, most_events: int, most_octets: int
    ) -> ClaimedBatch | None:
        """The next batch of an endpoint; small ones that wait behind it come along."""
        row = await self._database.first(
            "claim_webhook_batch", endpoint_id, LEASE, most_events, most_octets
        )
        return None if row is None else _claimed(endpoint_id, row)

    async def end(
        self, batch: ClaimedBatch, attempt: WebhookAttempt, *, answers_well: bool
    ) -> None:
        """It was taken, or nothing more is done for it."""
        await self._database.run("end_webhook_batch", *_tried(batch, attempt, answers_well))

    async def retry(
        self,
        batch: ClaimedBatch,
        attempt: WebhookAttempt,
        *,
        wait: timedelta | None = None,
        endpoint_waits: timedelta | None = None,
    ) -> EndpointFailures | None:
        """Try it again after *wait*; or, as the first one, when its endpoint has waited.

        None: the endpoint was deleted.
        """
        row = await self._database.first(
            "retry_webhook_batch",
            *_tried(batch, attempt, wait, endpoint_waits),
            batch.failures,
        )
        return None if row is None else EndpointFailures(row["failures"], row["failing_for"])

    async def pause(self, endpoint_id: UUID, reason: str) -> bool:
        """Send nothing more until it is resumed; its account hears of it. False: it was paused."""
        return await self._database.first("pause_failing_webhook", endpoint_id, reason) is not None

    async def bury(self) -> int:
        """Make dead letters of what is too old: how many events those were."""
        rows = await self._database.fetch("bury_webhook_batches", _ROWS)
        return sum(row["events"] for row in rows)

    async def forget(self, keep: timedelta) -> None:
        """Delete attempts and dead letters older than *keep*, and what removed endpoints left."""
        for statement in ("forget_webhook_attempts", "forget_webhook_dead_letters"):
            while len(await self._database.fetch(statement, keep, _ROWS)) == _ROWS:
                continue
        while await self._database.fetch("forget_removed_webhooks", _ROWS):
            continue

    async def backlog(self) -> Mapping[str, tuple[int, float]]:
        """How many events wait, and the age of the oldest in seconds, by what they wait for."""
        rows = await self._database.fetch("count_webhook_backlog")
        return {row["state"]: (row["events"], row["age"]) for row in rows}


def _tried(batch: ClaimedBatch, attempt: WebhookAttempt, *more: Any) -> tuple[Any, ...]:
    return (
        *(batch.id, batch.claim, batch.endpoint_id, batch.events),
        *(attempt.result, attempt.status, attempt.milliseconds),
        *more,
        batch.tries + 1,
    )


def _claimed(endpoint_id: UUID, row: Any) -> ClaimedBatch:
    return ClaimedBatch(
        id=row["id"],
        claim=row["claim"],
        endpoint_id=endpoint_id,
        account_id=row["account_id"],
        made_at=row["made_at"],
        tries=row["tries"],
        is_test=row["is_test"],
        events=row["events"],
        body=row["body"],
        url=row["url"],
        dialect=row["dialect"],
        sealed=[s for s in (row["sealed"], row["old_sealed"]) if s is not None],
        sealed_fields=row["sealed_fields"],
        failures=row["failures"],
        is_failing=row["failing"],
    )
