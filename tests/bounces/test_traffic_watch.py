"""What becomes of mail is counted for reports: each event once, and few sets of messages."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest_asyncio

from bounces.traffic_watch import TrafficWatch
from posthouse.mail.events import EventKind
from posthouse.mail.headline import Headline
from posthouse.mail.lane import Lane
from posthouse.mail.submission import OWN_CREDENTIAL, Attributes
from posthouse.running.event_reader import EventReader
from posthouse.store.deliveries import Settlement
from posthouse.store.streams import StreamStore
from posthouse.store.traffic_reports import TrafficReports
from posthouse.traffic.measures import MEASURES
from servers.patience import eventually, on_this_machine
from servers.stores import ACCOUNT, Stores, a_submission, an_attempt, open_stores, prepared

DAY = timedelta(days=1)
GONE = {"class": "no such mailbox", "reply": "550 no such user"}
FULL = {"class": "mailbox full", "reply": "452 over quota"}
UNREAD = """
SELECT count(*) FROM events e JOIN witness w ON w.number = e.incarnation, event_cursors c
WHERE c.reader = 'traffic' AND (e.xid, e.id) > (c.xid, c.id)
"""

EVENTS = """
SELECT e.kind, e.detail, e.at, s.recipients, s.lane, s.subject, s.author, s.attributes,
       s.attributes->>'stream' AS stream, s.attributes->'tags' AS tags
FROM events e JOIN submissions s ON s.id = e.submission_id
"""
READ: tuple[tuple[str, dict[str, Any]], ...] = (
    ("opened", {"verdict": "human", "rule": "r"}),
    ("opened", {"verdict": "machine", "rule": "r"}),
    ("clicked", {"verdict": "human", "rule": "r", "link": 1}),
    ("clicked", {"verdict": "unknown", "rule": "r", "link": 2}),
    ("complained", {"digest": "1"}),
    ("unsubscribed", {"digest": "2"}),
    ("resubscribed", {}),
    ("replied", {"digest": "3"}),
)


def _message(row: Any) -> tuple[Any, ...]:
    return row["stream"] or "", tuple(sorted(row["tags"] or ())), row["lane"], row["subject"]


class Counted:
    """The relay's database, and a bounces process that counts."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores

    @asynccontextmanager
    async def counting(self, most_sets: int = 1_000) -> AsyncIterator[None]:
        """A bounces process; what happens is counted at the end."""
        watch = TrafficWatch(self.stores.database, keep_years=1, most_sets=most_sets)
        reader = EventReader(self.stores.database.alone(connections=3), [watch], look_seconds=0.01)
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(reader.run(stopping))
            try:
                yield
                await eventually(self.all_read, within=10)
            finally:
                stopping.set()
                async with asyncio.timeout(on_this_machine(5)):
                    await asyncio.wait([running])

    async def all_read(self) -> bool:
        """Every event has been looked at."""
        return not await self.stores.value(UNREAD)

    async def send(
        self, kind: EventKind, count: int, detail: dict[str, Any] | None = None, **message: Any
    ) -> None:
        """That many recipients in one message, each with that result."""
        recipients = tuple(f"u{n}@dest.example" for n in range(count))
        await self.stores.queue(**{"recipients": recipients, **message})
        wait = timedelta(hours=1) if kind is EventKind.DEFERRED else None
        for claim in (await self.stores.deliveries.claim(count)).deliveries:
            await self.stores.deliveries.settle(
                Settlement(claim, kind, wait, an_attempt(), detail or {})
            )

    async def happen(self, kind: str, detail: dict[str, Any]) -> None:
        """Something more about the first delivery."""
        await self.stores.sql(
            "INSERT INTO events (id, account_id, submission_id, delivery_id, kind, detail)"
            " SELECT new_id(), account_id, submission_id, id, $1, $2"
            " FROM (SELECT * FROM deliveries ORDER BY id LIMIT 1) v",
            kind,
            detail,
        )

    async def suppress(self, recipient: str) -> None:
        """A message of which a recipient gets no copy."""
        message = a_submission(recipients=("eve@dest.example", recipient))
        await self.stores.submissions.accept(message)
        (claimed,) = (await self.stores.submissions.claim(1)).submissions
        await self.stores.submissions.prepare([prepared(claimed, recipient)])

    async def has_forgotten(self) -> bool:
        """Only what is new is there."""
        left: int = await self.stores.value(
            "SELECT (SELECT count(*) FROM message_sets) + (SELECT count(*) FROM refusal_samples)"
        )
        return left == 1

    async def by_line(self) -> dict[tuple[Any, ...], int]:
        """What was counted, in the form of `recounted`."""
        rows = await self.stores.sql(
            "SELECT * FROM traffic_counts c JOIN message_sets s ON s.id = c.set_id"
        )
        return {
            (*_message(row), row["provider"], row["class"], name): row[name]
            for row in rows
            for name in MEASURES
            if row[name]
        }

    async def recounted(self) -> Counter[tuple[Any, ...]]:
        """What the events say, one by one."""
        counts: Counter[tuple[Any, ...]] = Counter()
        for row in await self.stores.sql(EVENTS):
            kind, detail = row["kind"], row["detail"] or {}
            provider = "google" if "google" in detail.get("host", "") else "other"
            where = (
                *_message(row),
                "" if kind == "accepted" else provider,
                detail.get("class", ""),
            )
            if kind == "accepted":
                counts[*where, "recipients"] += len(row["recipients"])
            if kind == "bounced":
                kind = "hard" if detail["class"] == "no such mailbox" else "soft"
            if kind in ("opened", "clicked"):
                kind = f"{kind}_{detail['verdict']}"
            if kind in MEASURES:
                counts[*where, kind] += 1
        return counts

    async def totals(self) -> Counter[str]:
        """All that was counted."""
        totals: Counter[str] = Counter()
        for row in await self.stores.sql("SELECT * FROM traffic_counts"):
            totals.update({name: row[name] for name in MEASURES if row[name]})
        return totals


@pytest_asyncio.fixture
async def counted(database: str) -> AsyncIterator[Counted]:
    async with open_stores(database) as stores:
        yield Counted(stores)


async def test_the_counts_are_those_of_the_events(counted: Counted) -> None:
    """With two processes that take turns, one of which fails before its commit."""
    stores = counted.stores
    await StreamStore(stores.database).create(ACCOUNT, "news", "n1", {})
    await stores.sql("INSERT INTO sending_domains (name) VALUES ('sender.example')")
    news: dict[str, Any] = {"attributes": Attributes(stream="news", tags=("b", "a"))}
    async with counted.counting(), counted.counting():
        await counted.send(EventKind.DELIVERED, 3, {"host": "aspmx.l.google.com"})
        await stores.sql("ALTER TABLE refusal_samples RENAME TO away")
        await counted.send(EventKind.BOUNCED, 2, GONE, **news)
        await counted.send(EventKind.BOUNCED, 1, FULL, headline=Headline("Order 7", "a@b.example"))
        await counted.send(EventKind.DEFERRED, 2, FULL, headline=Headline("Order 8", "a@b.example"))
        await counted.send(EventKind.EXPIRED, 1, lane=Lane.BULK)
        await counted.suppress("ann@dest.example")
        for kind, detail in READ:
            await counted.happen(kind, detail)
        await stores.sql("ALTER TABLE away RENAME TO refusal_samples")
    expected = await counted.recounted()
    assert expected == await counted.by_line()
    totals = await counted.totals()
    assert (6, 11) == (totals.pop("accepted"), totals.pop("recipients"))
    results = {"delivered": 3, "deferred": 2, "hard": 2, "soft": 1, "expired": 1, "suppressed": 1}
    objections = {"complained": 1, "unsubscribed": 1, "resubscribed": 1}
    read = {"opened_human": 1, "opened_machine": 1, "clicked_human": 1, "clicked_unknown": 1}
    assert results | objections | read == totals


async def test_messages_are_told_apart_by_what_they_have_in_common(counted: Counted) -> None:
    stores = counted.stores
    await StreamStore(stores.database).create(ACCOUNT, "news", "n1", {})
    await stores.sql("INSERT INTO sending_domains (name) VALUES ('sender.example')")
    async with counted.counting():
        for tags in (("b", "a"), ("a", "b")):
            await counted.send(
                EventKind.BOUNCED,
                1,
                GONE,
                attributes=Attributes(stream="news", tags=tags),
                headline=Headline("Order 7 for jo@a.example", "shop@b.example", "Shop"),
            )
        # Names that clients make up are none.
        await counted.send(
            EventKind.DELIVERED, 1, attributes=Attributes(stream="x"), sender="a@made.example"
        )
    told, made_up = await stores.sql("SELECT * FROM message_sets ORDER BY id")
    expected = {
        "account_id": ACCOUNT,
        "stream": "news",
        "domain": "sender.example",
        "credential_id": UUID(int=2),
        "lane": Lane.NORMAL,
        "tags": ["a", "b"],
        "subject": "Order 7 for jo@a.example",
        "pattern": "Order # for #",
        "author": "shop@b.example",
        "author_name": "Shop",
    }
    assert expected == {name: told[name] for name in expected}
    assert ("", "") == (made_up["stream"], made_up["domain"])
    (sample,) = await stores.sql("SELECT * FROM refusal_samples")
    assert ("no such mailbox", "550 no such user") == (sample["class"], sample["reply"])
    assert await stores.story(sample["submission_id"])


async def test_new_sets_of_a_day_are_limited_and_the_rest_is_counted_together(
    counted: Counted,
) -> None:
    """First the subjects are given up, then their patterns, then tags and authors; no count is."""
    words = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    async with counted.counting(most_sets=8):
        for word in words:
            await counted.send(
                EventKind.DELIVERED,
                1,
                headline=Headline(f"Offer {word} {word}", f"{word}@b.example"),
                attributes=Attributes(tags=(word,)),
            )
            await eventually(counted.all_read, within=10)
    rows = await counted.stores.sql(
        "SELECT s.subject, s.pattern, s.author, sum(c.delivered)::integer AS count"
        " FROM message_sets s JOIN traffic_counts c ON c.set_id = s.id GROUP BY s.id ORDER BY s.id"
    )
    kept = [(f"Offer {w} {w}", f"Offer {w} {w}", f"{w}@b.example", 1) for w in words[:4]]
    patterns = [(None, f"Offer {w} {w}", f"{w}@b.example", 1) for w in words[4:6]]
    tags = [(None, None, f"{w}@b.example", 1) for w in words[6:8]]
    assert [*kept, *patterns, *tags, (None, None, None, 2)] == [tuple(row) for row in rows]


async def test_sets_that_are_counted_together_lose_no_count_within_a_page(counted: Counted) -> None:
    for number in range(9):
        await counted.send(EventKind.DELIVERED, 1, headline=Headline(f"Offer {number * 'x'}"))
    async with counted.counting(most_sets=4):
        pass
    assert {"accepted": 9, "recipients": 9, "delivered": 9} == await counted.totals()
    assert 4 == await counted.stores.value("SELECT count(*) FROM message_sets")


async def test_what_is_older_than_it_is_kept_goes(counted: Counted) -> None:
    async with counted.counting():
        await counted.send(EventKind.BOUNCED, 1, GONE)
    for statement in (
        "UPDATE traffic_counts SET began_at = began_at - interval '367 d'",
        "UPDATE message_sets SET month = month - interval '14 months'",
        "UPDATE refusal_samples SET at = at - interval '367 d'",
    ):
        await counted.stores.sql(statement)
    async with counted.counting():
        await counted.send(EventKind.DELIVERED, 1)
        await eventually(counted.has_forgotten, within=10)
    assert {"accepted": 1, "recipients": 1, "delivered": 1} == await counted.totals()


async def test_after_a_restore_each_event_counts_once(counted: Counted) -> None:
    """Also a report about what bounced before: its transaction may have a lower number."""
    stores = counted.stores
    async with counted.counting():
        await counted.send(EventKind.BOUNCED, 1, GONE)
    before = await counted.totals()
    await stores.sql("SELECT begin_incarnation()")
    await stores.sql("UPDATE events SET xid = '900000000000'")
    async with counted.counting():
        await counted.happen("bounced", {**GONE, "digest": "1"})
        await counted.happen("opened", {"verdict": "human", "rule": "r"})
    assert {**before, "opened_human": 1} == await counted.totals()


async def test_messages_of_ours_and_reports_written_twice_do_not_count(counted: Counted) -> None:
    async with counted.counting():
        await counted.send(EventKind.DELIVERED, 1)
        await counted.send(EventKind.DELIVERED, 1, credential_id=OWN_CREDENTIAL)
        for digest in ("1", "2"):
            await counted.happen("bounced", {**GONE, "digest": digest})
    assert {"accepted": 1, "recipients": 1, "delivered": 1, "hard": 1} == await counted.totals()


async def test_E05_E06_messages_and_deliveries_are_billed_by_mailing_and_month(
    counted: Counted,
) -> None:
    """Also those of a child, in a stream of its parent."""
    child = UUID(int=9)
    await counted.stores.sql(
        "INSERT INTO accounts (id, name, parent_id) VALUES ($1, 'client', $2)", child, ACCOUNT
    )
    await StreamStore(counted.stores.database).create(ACCOUNT, "news", "n1", {})
    news = Attributes(stream="news")
    async with counted.counting(most_sets=4):
        for number in range(3):
            await counted.send(
                EventKind.DELIVERED, 1, attributes=news, headline=Headline(f"Order {number}")
            )
        await counted.send(EventKind.DELIVERED, 2)
        await counted.send(EventKind.DEFERRED, 1, attributes=news)
        await counted.send(EventKind.DELIVERED, 1, attributes=news, account_id=child)
        await counted.send(EventKind.DELIVERED, 1, sender="", credential_id=OWN_CREDENTIAL)
    reports = TrafficReports(counted.stores.database)
    now = datetime.now(UTC)
    shop = [("shop", "", 1, 2, 2), ("shop", "news", 4, 4, 3)]
    assert shop == list(await reports.bill(ACCOUNT, now - DAY, now + DAY))
    everybody = await reports.bill(None, now - DAY, now + DAY)
    assert [("client", "news", 1, 1, 1), *shop] == list(everybody)
    assert () == await reports.bill(None, now + DAY, now + 2 * DAY)
