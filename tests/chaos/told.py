"""An endpoint that fails now and then, and what it was told of the relay's events."""

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from posthouse.mail.secret import NONCE_OCTETS, Purpose, derive, seal
from posthouse.store.postgres import Postgres
from posthouse.store.webhook_endpoints import WebhookStore, WebhookTerms
from posthouse.webhooks.webhook_signature import SECRET_OCTETS
from servers.patience import eventually
from servers.webhook_sink import WebhookSink, webhook_sink

# Retries are due at once: nobody waits here for what is a matter of seconds and minutes.
_HURRY = (
    "UPDATE webhook_endpoints SET retry_at = now() WHERE retry_at > now()",
    "UPDATE webhook_batches SET due_at = now() WHERE due_at > now() AND due_at < 'infinity'",
)
_WAITING = """
SELECT (SELECT count(*) FROM webhook_batches) + (
    SELECT count(*) FROM events e, event_cursors c
    WHERE c.reader = 'webhooks' AND (e.xid, e.id) > (c.xid, c.id))
"""
# Programs that may tell an endpoint of this machine.
SETTINGS = {
    "POSTHOUSE_WEBHOOK_ALLOW_HTTP": "true",
    "POSTHOUSE_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
}
_KINDS = ("accepted", "delivered", "deferred", "uncertain", "bounced")
_TOLD = """
SELECT e.id, e.submission_id FROM events e JOIN submissions s ON s.id = e.submission_id
WHERE e.kind = ANY($1)
  AND e.at >= (SELECT created_at FROM webhook_endpoints) ORDER BY e.incarnation, e.xid, e.id
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of the events."""

    events: int
    missing: int  # were never told
    unknown: int  # nobody knows
    repeated: int  # came more than once
    changed: int  # differ from what was told under the same id before
    misplaced: int  # have a sequence that is not that of their commit among those of the message

    @property
    def broken(self) -> tuple[str, ...]:
        """Which promises of docs/webhooks.md were not kept, in words."""
        faults = {
            "no event was told": not self.events,
            f"{self.missing} events were not told": self.missing,
            f"{self.unknown} events are unknown": self.unknown,
            f"{self.changed} events came again with another content": self.changed,
            f"{self.misplaced} events have a wrong sequence": self.misplaced,
        }
        return tuple(words for words, wrong in faults.items() if wrong)


class FailingEndpoint:
    """Takes three requests of four, and not the first."""

    def __init__(self, sink: WebhookSink, database_url: str) -> None:
        answers = itertools.cycle((503, 200, 200, 200))
        sink.answer = lambda _number, _path: next(answers)
        self._sink = sink
        self._url = database_url

    async def become_known(self, account: UUID, key: bytes) -> None:
        """From now on it is told of the events of *account*; *key*: the secret of the relay."""
        terms = WebhookTerms(self._sink.url(), "native", _KINDS, (), timedelta())
        derived = derive(key, Purpose.WEBHOOK_SECRETS)
        sealed = seal(bytes(SECRET_OCTETS), derived, bytes(NONCE_OCTETS))
        async with Postgres(self._url, connections=1) as database:
            await WebhookStore(database).create(account, terms, sealed)

    async def all_told(self, within: float = 60.0) -> Told:
        """Wait until nothing waits, and compare with the events that there are."""
        connection = await asyncpg.connect(self._url)
        try:

            async def nothing_waits() -> bool:
                for statement in _HURRY:
                    await connection.execute(statement)
                return not await connection.fetchval(_WAITING)

            await eventually(nothing_waits, within)
            rows = await connection.fetch(_TOLD, list(_KINDS))
        finally:
            await connection.close()
        return self._compared([(row["id"].hex, row["submission_id"].hex) for row in rows])

    def _compared(self, known: list[tuple[str, str]]) -> Told:
        told: dict[str, dict[str, Any]] = {}
        times: Counter[str] = Counter()
        changed = 0
        for request in self._sink.requests:
            for event in json.loads(request.body)["data"]:
                changed += told.setdefault(event["id"], event) != event
                times[event["id"]] += 1
        taken = {event["id"] for event in self._sink.events()}
        places: dict[str, list[int]] = defaultdict(list)
        for id_, message in known:
            if id_ in told:
                places[message].append(told[id_]["sequence"])
        return Told(
            events=len(taken),
            missing=len({id_ for id_, _ in known} - taken),
            unknown=len(taken - {id_ for id_, _ in known}),
            repeated=sum(count > 1 for count in times.values()),
            changed=changed,
            misplaced=sum(found != sorted(set(found)) or found[0] < 1 for found in places.values()),
        )


@asynccontextmanager
async def failing_endpoint(database_url: str) -> AsyncIterator[FailingEndpoint]:
    """It is not yet known to the relay."""
    async with webhook_sink() as sink:
        yield FailingEndpoint(sink, database_url)
