"""A webhooks process over a real database, which tells an endpoint of the tests."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network
from typing import Any
from uuid import UUID

from posthouse.mail.events import EventKind
from posthouse.mail.secret import KEY_OCTETS, NONCE_OCTETS, seal
from posthouse.running.event_reader import EventReader
from posthouse.store.deliveries import Settlement
from posthouse.store.webhook_endpoints import WebhookEndpoint, WebhookStore, WebhookTerms
from servers.patience import eventually, on_this_machine
from servers.stores import ACCOUNT, Stores, an_attempt
from servers.webhook_sink import WebhookSink
from webhooks.batch_sender import WebhookSender
from webhooks.core.endpoint_pace import PauseRule
from webhooks.delivery import BatchDelivery
from webhooks.fan_out import FanOut
from webhooks.http_post import HttpPost

KEY = bytes(KEY_OCTETS)
SECRET = b"a secret of thirty-two octets...."[:32]
LOOPBACK = (IPv4Network("127.0.0.0/8"),)
NEVER = PauseRule(failures=1_000_000)
UNREAD = """
SELECT count(*) FROM events e, event_cursors c
WHERE c.reader = 'webhooks' AND (e.xid, e.id) > (c.xid, c.id)
"""


@dataclass
class Webhooked:
    """The relay's database, and an endpoint."""

    stores: Stores
    sink: WebhookSink

    @property
    def webhooks(self) -> WebhookStore:
        """The endpoints."""
        return WebhookStore(self.stores.database)

    async def endpoint(self, path: str = "/hook", **terms: Any) -> WebhookEndpoint:
        """One more, at the sink if it does not say where."""
        fields = terms.pop("fields", None)
        account = terms.pop("account", ACCOUNT)
        chosen: dict[str, Any] = {
            "url": self.sink.url(path),
            "dialect": "native",
            "kinds": (),
            "streams": (),
            "gather": timedelta(),
            **terms,
        }
        sealed = None if fields is None else seal(json.dumps(fields).encode(), KEY, _nonce())
        id_ = await self.webhooks.create(
            account, WebhookTerms(**chosen), seal(SECRET, KEY, _nonce()), sealed
        )
        return await self.again(id_)

    async def again(self, id_: UUID) -> WebhookEndpoint:
        """How that endpoint does now."""
        found = await self.webhooks.find(id_)
        assert found is not None
        return found

    @asynccontextmanager
    async def telling(
        self,
        *,
        seconds: float = 10.0,
        pause: PauseRule = NEVER,
        key: bytes = KEY,
        facts: timedelta = timedelta(days=30),
    ) -> AsyncIterator[None]:
        """A webhooks process."""
        post = HttpPost(seconds=seconds, allow_http=True, allowed=LOOPBACK)
        database = self.stores.database
        sender = WebhookSender(
            database, BatchDelivery(database, post, key, pause), look_seconds=0.05
        )
        fan_out = FanOut(database, keep=timedelta(days=30), facts=facts, announce=sender.wake)
        reader = EventReader(database.alone(connections=2), (fan_out,), look_seconds=0.05)
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(each.run(stopping)) for each in (reader, sender)]
            try:
                yield
            finally:
                stopping.set()
                async with asyncio.timeout(on_this_machine(5)):
                    await asyncio.wait(running)

    async def all_queued(self) -> None:
        """Wait until every event has been looked at."""

        async def read() -> bool:
            return not await self.stores.value(UNREAD)

        await eventually(read)

    async def nothing_waits(self) -> None:
        """Wait until every event was told, or given up."""
        await self.all_queued()

        async def done() -> bool:
            return not await self.stores.value("SELECT count(*) FROM webhook_batches")

        await eventually(done)

    async def send(
        self,
        kind: EventKind = EventKind.DELIVERED,
        detail: dict[str, Any] | None = None,
        **message: Any,
    ) -> list[UUID]:
        """A message, whose recipients have that result; the deliveries."""
        made = await self.stores.queue(**message)
        wait = timedelta(hours=1) if kind is EventKind.DEFERRED else None
        for claim in (await self.stores.deliveries.claim(1000)).deliveries:
            full = {"recipient": claim.delivery.recipient, "host": "mx.dest.example"}
            await self.stores.deliveries.settle(
                Settlement(claim, kind, wait, an_attempt(), full | (detail or {}))
            )
        return [delivery.id for delivery in made]

    async def retry_now(self) -> None:
        """Let nothing wait for its next try."""
        await self.stores.sql("UPDATE webhook_batches SET due_at = now() WHERE due_at < 'infinity'")
        await self.stores.sql("UPDATE webhook_endpoints SET retry_at = now()")


_made = iter(range(1 << 32))


def _nonce() -> bytes:
    return next(_made).to_bytes(NONCE_OCTETS, "big")
