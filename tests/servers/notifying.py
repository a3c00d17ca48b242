"""A bounces process that tells senders what became of their mail, over a real database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from bounces.notifier import NoticeLimits, Notifier
from bounces.relay_identity import RelayIdentity
from posthouse.mail.events import EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.submission import OWN_CREDENTIAL, Submission
from posthouse.running.event_reader import EventReader
from posthouse.store.deliveries import Settlement
from posthouse.store.submissions import ClaimedSubmission
from servers.patience import eventually, on_this_machine
from servers.stores import Stores, an_attempt

SENDER = "shop@sender.example"
AT_ONCE = NoticeLimits(gather=timedelta())


@dataclass
class Told:
    """The relay's database, and the hints that were given."""

    stores: Stores
    lanes: list[Lane]

    @asynccontextmanager
    async def notifying(self, limits: NoticeLimits = AT_ONCE, **how: Any) -> AsyncIterator[None]:
        """A bounces process that tells."""
        relay = RelayIdentity(
            self.stores.database, hostname="relay.example", return_path_host="back.relay.example"
        )
        notifier = Notifier(
            self.stores.database,
            relay,
            announce=self.lanes.append,
            limits=limits,
            **how,
        )
        reader = EventReader(
            self.stores.database.alone(connections=3), [notifier], look_seconds=0.01
        )
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(reader.run(stopping))
            try:
                yield
            finally:
                stopping.set()
                async with asyncio.timeout(on_this_machine(5)):
                    await asyncio.wait([running])

    async def notices(self) -> list[ClaimedSubmission]:
        """What we have accepted of our own, claimed as policy does."""
        await self.stores.run_out()
        claimed: list[ClaimedSubmission] = []
        while found := (await self.stores.submissions.claim(100)).submissions:
            claimed += found
        return [c for c in claimed if not c.submission.sender]

    async def count(self) -> int:
        """How many messages of our own there are."""
        found: int = await self.stores.value(
            "SELECT count(*) FROM submissions WHERE credential_id = $1", OWN_CREDENTIAL
        )
        return found

    async def has(self, count: int) -> None:
        """Wait until there are that many, and all failures have been looked at."""
        await eventually(lambda: self._has(count), within=10)

    async def _has(self, count: int) -> bool:
        return await self.count() >= count

    async def settled(self) -> None:
        """Wait until nothing is left to be told and every event has been looked at."""

        async def done() -> bool:
            left = await self.stores.value(
                "SELECT (SELECT count(*) FROM untold_failures)"
                " + (SELECT count(*) FROM untold_reports)"
            )
            unread = await self.stores.value(
                "SELECT count(*) FROM events e, event_cursors c"
                " WHERE c.reader = 'notices' AND e.xid > c.xid"
                " AND e.kind IN ('bounced', 'expired', 'suppressed', 'delivered', 'deferred',"
                " 'delayed', 'confirmed')"
            )
            return not left and not unread

        await eventually(done, within=10)


def parsed(submission: Submission) -> EmailMessage:
    """The message as a mail program reads it."""
    return message_from_bytes(submission.header + submission.body, policy=policy.default)


def groups(message: EmailMessage) -> list[dict[str, str]]:
    """The groups of fields of a report."""
    (part,) = [p for p in message.walk() if p.get_content_type() == "message/delivery-status"]
    return [dict(group.items()) for group in part.iter_parts()]


def words(message: EmailMessage) -> str:
    """What it says to people."""
    part = next(p for p in message.walk() if p.get_content_type() == "text/plain")
    return str(part.get_content())


async def fail(
    stores: Stores, kind: EventKind = EventKind.BOUNCED, count: int = 100, **detail: Any
) -> None:
    """End every delivery that is due, in this way."""
    said = {"code": 550, "enhanced": "5.1.1", "reply": "No such user here", **detail}
    for claimed in (await stores.deliveries.claim(count)).deliveries:
        full = {"recipient": claimed.delivery.recipient, "host": "mx.dest.example[192.0.2.9]:25"}
        attempt = an_attempt("bounced", 550)
        await stores.deliveries.settle(Settlement(claimed, kind, None, attempt, full | said))
