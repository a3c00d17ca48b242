"""Delivers one batch: writes the request, sends it, and records what became of it."""

import json
import random
import time
from types import TracebackType
from typing import Any, Self

import structlog
from prometheus_client import Counter, Histogram

from posthouse.mail.secret import UnsealError, unseal
from posthouse.store.postgres import Postgres
from posthouse.store.webhook_batches import WebhookBatches
from posthouse.webhooks.dialects import DIALECTS, AnswerVerdict, Dialect
from posthouse.webhooks.event_batch import ClaimedBatch, WebhookAttempt
from posthouse.webhooks.webhook_signature import signature_fields
from webhooks.core.endpoint_pace import PauseRule, waits_after
from webhooks.http_post import HttpPost, Posted, PostResult

log = structlog.get_logger()

DELIVERIES = Counter(
    "posthouse_webhook_deliveries_total",
    "Requests to endpoints, by result: taken, given_up (the dialect tries such answers no more), "
    "refused (any other answer), timed_out, unreachable, tls_failed or forbidden",
    ["result"],
)
DURATION = Histogram(
    "posthouse_webhook_delivery_seconds",
    "How long requests to endpoints took.",
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
_REFUSED = "refused"


class BatchDelivery:
    """What the sender does with each batch that it claims."""

    def __init__(
        self, background: Postgres, post: HttpPost, sealing_key: bytes, pause: PauseRule
    ) -> None:
        self._batches = WebhookBatches(background)
        self._post = post
        self._key = sealing_key
        self._pause = pause

    async def __aenter__(self) -> Self:
        await self._post.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._post.__aexit__(kind, error, trace)

    async def deliver(self, batch: ClaimedBatch) -> bool:
        """Send *batch*; whether it was taken. Raises StoreUnavailable: then it is sent again."""
        dialect = DIALECTS.get(batch.dialect)
        if dialect is None:  # of a newer version, which sends it when the lease runs out
            return False
        posted = await self._request(batch, dialect)
        verdict = AnswerVerdict.RETRY if posted.status is None else dialect.judge(posted.status)
        attempt = WebhookAttempt(_result(posted, verdict), posted.status, posted.milliseconds)
        DELIVERIES.labels(attempt.result).inc()
        DURATION.observe(posted.milliseconds / 1000)
        if verdict is not AnswerVerdict.RETRY or batch.is_test:
            taken = verdict is AnswerVerdict.TAKEN
            await self._batches.end(batch, attempt, answers_well=taken)
            return taken
        await self._retry(batch, posted, attempt)
        return False

    async def _request(self, batch: ClaimedBatch, dialect: Dialect) -> Posted:
        try:
            secrets = [unseal(sealed, self._key) for sealed in batch.sealed]
            fields = _fields(batch, self._key)
        except UnsealError:
            log.error("webhook_not_unsealed", endpoint=batch.endpoint_id.hex)  # noqa: TRY400
            return Posted(PostResult.FORBIDDEN, 0)
        body = dialect.wrap(batch.id, batch.made_at, batch.tries, batch.body)
        signed = signature_fields(f"msg_{batch.id.hex}", int(time.time()), body, secrets)
        return await self._post.send(batch.url, {**fields, **signed}, body)

    async def _retry(self, batch: ClaimedBatch, posted: Posted, attempt: WebhookAttempt) -> None:
        waits = waits_after(
            posted.status,
            tries=batch.tries,
            failures=batch.failures,
            chance=random.random(),  # noqa: S311
            asked=posted.asked,
        )
        failures = await self._batches.retry(
            batch, attempt, wait=waits.batch, endpoint_waits=waits.endpoint
        )
        log.info(
            "webhook_not_taken",
            endpoint=batch.endpoint_id.hex,
            batch=batch.id.hex,
            result=attempt.result,
            status=attempt.status,
            tries=batch.tries + 1,
        )
        if failures is not None and self._pause.says(failures):
            reason = f"{failures.count} requests in a row failed, the last one: {attempt.result}"
            if await self._batches.pause(batch.endpoint_id, reason):
                log.warning("webhook_paused", endpoint=batch.endpoint_id.hex, reason=reason)


def _fields(batch: ClaimedBatch, key: bytes) -> dict[str, str]:
    if batch.sealed_fields is None:
        return {}
    found: dict[str, Any] = json.loads(unseal(batch.sealed_fields, key))
    return {str(name): str(value) for name, value in found.items()}


def _result(posted: Posted, verdict: AnswerVerdict) -> str:
    if posted.status is None:
        return posted.result.value
    return _REFUSED if verdict is AnswerVerdict.RETRY else verdict.value
