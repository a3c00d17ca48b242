"""What becomes of each account's mail is counted once, and an account that does harm is held."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
import structlog

from bounces.account_watch import AccountWatch
from bounces.core.thresholds import Limit, ThresholdLimits
from bounces.relay_identity import RelayIdentity
from posthouse.answers import HARD_CLASSES
from posthouse.mail.due_results import OPERATOR
from posthouse.mail.events import Event, EventKind
from posthouse.mail.lane import Lane
from posthouse.mail.submission import OWN_CREDENTIAL, Attributes
from posthouse.running.event_reader import EventReader
from posthouse.store.account_holds import AccountHolds
from posthouse.store.account_statistics import AccountStatistics, CountingTurn
from posthouse.store.audit_log import AuditStore
from posthouse.store.deliveries import Settlement
from posthouse.store.event_feed import EventPage
from posthouse.store.returns import ReturnStore
from posthouse.store.streams import StreamStore
from servers.patience import eventually, on_this_machine
from servers.stores import ACCOUNT, Stores, an_attempt, open_stores

DAY = timedelta(hours=24)
NEVER = ThresholdLimits(Limit(0, 1, DAY), Limit(0, 1, DAY))
STRICT = ThresholdLimits(Limit(10, 10, DAY), Limit(10, 10, DAY))
GONE = {"host": "mx1.dest.example", "class": "no such mailbox"}
FULL = {"host": "mx1.dest.example", "class": "mailbox full"}


@dataclass
class Watched:
    """The relay's database, and the hints that were given."""

    stores: Stores
    lanes: list[Lane] = field(default_factory=list)

    @asynccontextmanager
    async def watching(self, limits: ThresholdLimits = NEVER, **how: Any) -> AsyncIterator[None]:
        """A bounces process that counts."""
        watch = AccountWatch(
            self.stores.database,
            RelayIdentity(
                self.stores.database, hostname="relay.example", return_path_host="back.example"
            ),
            announce=self.lanes.append,
            limits=limits,
            **how,
        )
        reader = EventReader(self.stores.database.alone(connections=3), [watch], look_seconds=0.01)
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(reader.run(stopping))
            try:
                yield
                await self.all_read()
            finally:
                stopping.set()
                async with asyncio.timeout(on_this_machine(5)):
                    await asyncio.wait([running])

    async def all_read(self) -> None:
        """Wait until every event has been looked at."""

        async def done() -> bool:
            return not await self.stores.value(
                "SELECT count(*) FROM events e, event_cursors c"
                " WHERE c.reader = 'statistics' AND (e.xid, e.id) > (c.xid, c.id)"
            )

        await eventually(done, within=10)

    async def send(
        self, kind: EventKind, count: int, detail: dict[str, Any] | None = None, **message: Any
    ) -> list[Any]:
        """That many recipients in one message, each with that result; the claims."""
        recipients = tuple(f"u{n}@dest.example" for n in range(count))
        await self.stores.queue(**{"recipients": recipients, **message})
        claims = (await self.stores.deliveries.claim(count)).deliveries
        wait = timedelta(hours=1) if kind is EventKind.DEFERRED else None
        settled = (
            Settlement(c, kind, wait, an_attempt(), {"host": "mx1.dest.example", **(detail or {})})
            for c in claims
        )
        assert all(await asyncio.gather(*map(self.stores.deliveries.settle, settled)))
        return list(claims)

    async def counts(self, by: str, account: UUID = ACCOUNT) -> dict[str, dict[str, int]]:
        """What was counted, without what is zero."""
        rows = await AccountStatistics(self.stores.database).read(account, 7, by, HARD_CLASSES)
        return {row.pop("part"): {name: n for name, n in row.items() if n} for row in rows}

    async def held(self) -> list[UUID]:
        """The accounts that are held."""
        return [row["account_id"] for row in await self.stores.sql("SELECT * FROM account_holds")]


@pytest_asyncio.fixture
async def watched(database: str) -> AsyncIterator[Watched]:
    async with open_stores(database) as stores:
        yield Watched(stores)


async def test_results_are_counted_by_stream_domain_provider_and_class(watched: Watched) -> None:
    google = {"host": "aspmx.l.google.com"}
    news: dict[str, Any] = {"attributes": Attributes(stream="news"), "sender": "n@News.example"}
    await watched.stores.sql("INSERT INTO sending_domains (name) VALUES ('news.example')")
    await StreamStore(watched.stores.database).create(ACCOUNT, "news", "n1", {})
    async with watched.watching():
        await watched.send(EventKind.DELIVERED, 3, google)
        await watched.send(EventKind.DELIVERED, 2, **news)
        await watched.send(EventKind.BOUNCED, 2, GONE, **news)
        await watched.send(EventKind.BOUNCED, 1, FULL)
        await watched.send(EventKind.DEFERRED, 1, {"class": "greylisted"})
        await watched.send(EventKind.EXPIRED, 1)
    assert {
        "": {"delivered": 3, "bounced": 1, "deferred": 1, "expired": 1},
        "news": {"delivered": 2, "bounced": 2, "hard": 2},
    } == await watched.counts("stream")
    assert {"", "news.example"} == set(await watched.counts("domain"))
    by_provider = await watched.counts("provider")
    assert {"delivered": 3} == by_provider["google"]
    assert 2 == by_provider["other"]["delivered"]
    assert {
        "": {"delivered": 5, "expired": 1},
        "no such mailbox": {"bounced": 2, "hard": 2},
        "mailbox full": {"bounced": 1},
        "greylisted": {"deferred": 1},
    } == await watched.counts("class")
    (day,) = (await watched.counts("day")).values()
    assert {"delivered": 5, "bounced": 3, "hard": 2, "deferred": 1, "expired": 1} == day


async def test_names_that_clients_make_up_are_counted_without_name(watched: Watched) -> None:
    """Of streams and domains only those that we know: anything else may be one for each message."""
    other = UUID(int=9)
    await watched.stores.sql("INSERT INTO accounts (id, name) VALUES ($1, 'news')", other)
    await StreamStore(watched.stores.database).create(other, "theirs", "t", {})
    async with watched.watching():
        for name in ("a", "b", "theirs"):
            await watched.send(
                EventKind.DELIVERED,
                1,
                attributes=Attributes(stream=name),
                sender=f"n@{name}.example",
            )
    assert {"": {"delivered": 3}} == await watched.counts("stream")
    assert {"": {"delivered": 3}} == await watched.counts("domain")


async def test_what_comes_back_is_counted_where_it_was_delivered(watched: Watched) -> None:
    """A report or complaint names no host of ours to count by: the attempt does."""
    (ann, bob) = await watched.stores.queue()
    claims = (await watched.stores.deliveries.claim(2)).deliveries
    for claimed in claims:
        await watched.stores.deliveries.settle(
            Settlement(claimed, EventKind.DELIVERED, None, an_attempt(), {"host": "x"})
        )
    await watched.stores.sql("UPDATE attempts SET host = 'mta5.am0.yahoodns.net'")
    returns = ReturnStore(watched.stores.database)
    bounce = {"source": "dsn", "class": "no such mailbox"}
    async with watched.watching():
        for kind, about, detail in (
            (EventKind.BOUNCED, ann, bounce),
            (EventKind.COMPLAINED, bob, {"source": "complaint"}),
            (EventKind.UNSUBSCRIBED, bob, {"source": "opt_out"}),
        ):
            event = Event(kind, ACCOUNT, about.submission_id, about.id, detail)
            assert await returns.record(event, about)
    found = (await watched.counts("provider"))["yahoo"]
    assert {"bounced": 1, "hard": 1, "complained": 1, "unsubscribed": 1} == found


async def test_messages_of_ours_are_not_counted(watched: Watched) -> None:
    async with watched.watching():
        await watched.send(EventKind.BOUNCED, 2, GONE, sender="", credential_id=OWN_CREDENTIAL)
    assert {} == await watched.counts("day")


async def test_messages_of_clients_from_the_null_reverse_path_are_counted(watched: Watched) -> None:
    async with watched.watching():
        await watched.send(EventKind.BOUNCED, 2, GONE, sender="")
    assert {"": {"bounced": 2, "hard": 2}} == await watched.counts("domain")


async def test_each_event_is_counted_once_whoever_dies(watched: Watched) -> None:
    """Watchers die at any moment, several at once, while mail goes on."""
    for milliseconds in range(1, 40, 2):
        await watched.send(EventKind.DELIVERED, 2)
        with pytest.raises(TimeoutError):
            async with (
                asyncio.timeout(milliseconds / 1000),
                watched.watching(),
                watched.watching(),
            ):
                await asyncio.sleep(1)
    async with watched.watching():
        pass
    (day,) = (await watched.counts("day")).values()
    assert {"delivered": 40} == day


async def test_an_account_above_the_threshold_of_bounces_is_held(watched: Watched) -> None:
    """With its rows, its audit and its log line; an account without harm goes on."""
    other = UUID(int=9)
    await watched.stores.sql("INSERT INTO accounts (id, name) VALUES ($1, 'news')", other)
    with structlog.testing.capture_logs() as logged:
        async with watched.watching(STRICT):
            await watched.send(EventKind.DELIVERED, 20, account_id=other)
            await watched.send(EventKind.DELIVERED, 16)
            await watched.send(EventKind.BOUNCED, 2, FULL)  # says nothing against the list
            await watched.send(EventKind.BOUNCED, 2, GONE)
            await watched.stores.queue(recipients=("waiting@dest.example",))
            await watched.all_read()
            assert [] == await watched.held()
            await watched.send(EventKind.BOUNCED, 1, GONE, lane=Lane.HIGH)
    assert [ACCOUNT] == await watched.held()
    assert () == (await watched.stores.deliveries.claim(10)).deliveries
    (line,) = await AuditStore(watched.stores.database).newest(5)
    assert ("posthouse", "account hold") == (line["actor"], line["action"])
    assert (21, 3) == (line["detail"]["ended"], line["detail"]["hard"])
    assert ["shop"] == [e["account"] for e in logged if e["event"] == "account_held"]
    assert [] == watched.lanes  # it has no address to tell


async def test_complaints_hold_an_account_too(watched: Watched) -> None:
    claims = await watched.send(EventKind.DELIVERED, 10)
    returns = ReturnStore(watched.stores.database)
    async with watched.watching(STRICT):
        for n, claimed in enumerate(claims[:2]):
            delivery = claimed.delivery
            event = Event(
                EventKind.COMPLAINED,
                ACCOUNT,
                delivery.submission_id,
                delivery.id,
                {"digest": f"{n}"},
            )
            assert await returns.record(event, delivery)
            await watched.all_read()
            assert n == len(await watched.held())
    rows = await watched.stores.sql("SELECT * FROM account_holds")
    assert "20 % of its mail went to recipients who complained: 2 of 10" in rows[0]["reason"]


async def test_counting_begins_at_the_release(watched: Watched) -> None:
    """Also when that is within the hour; what was counted before is still shown."""
    holds = AccountHolds(watched.stores.database)
    async with watched.watching(STRICT):
        await watched.send(EventKind.BOUNCED, 10, GONE)
        await watched.all_read()
        assert [ACCOUNT] == await watched.held()
        await holds.release(ACCOUNT, "root@relay")
        await watched.send(EventKind.DELIVERED, 9)
        await watched.send(EventKind.BOUNCED, 1, GONE)
        await watched.all_read()
        assert [] == await watched.held()
        await watched.send(EventKind.BOUNCED, 1, GONE)
    assert [ACCOUNT] == await watched.held()
    (day,) = (await watched.counts("day")).values()
    assert {"delivered": 9, "bounced": 12, "hard": 12} == day


async def test_an_account_that_thresholds_may_not_hold_goes_on(watched: Watched) -> None:
    await watched.stores.sql("UPDATE accounts SET automatic_hold = false")
    async with watched.watching(STRICT):
        await watched.send(EventKind.BOUNCED, 20, GONE)
    assert [] == await watched.held()


async def test_the_owner_is_told_by_mail_that_does_not_wait(watched: Watched) -> None:
    """It is the operator's mail: the account's own is held."""
    await watched.stores.sql("UPDATE accounts SET bounce_address = 'owner@home.example'")
    async with watched.watching(STRICT):
        await watched.send(EventKind.BOUNCED, 20, GONE)
    (claimed,) = (await watched.stores.submissions.claim(10)).submissions
    notice = claimed.submission
    assert (OPERATOR, "", ("owner@home.example",)) == (
        notice.account_id, notice.sender, notice.recipients,
    )  # fmt: skip
    assert b"Subject: Mail of the account shop is held" in notice.header
    assert b"100 % of its mail went to mailboxes or domains that do not exist" in notice.body
    assert [Lane.NORMAL] == watched.lanes


async def test_an_owner_whose_mail_would_come_back_to_us_is_not_told(watched: Watched) -> None:
    await watched.stores.sql("UPDATE accounts SET bounce_address = 'owner@back.example'")
    async with watched.watching(STRICT):
        await watched.send(EventKind.BOUNCED, 20, GONE)
    assert [ACCOUNT] == await watched.held()
    assert () == (await watched.stores.submissions.claim(10)).submissions


async def test_counts_are_kept_for_some_days(watched: Watched) -> None:
    await watched.send(EventKind.DELIVERED, 2)
    async with watched.watching():
        pass
    await watched.stores.sql("UPDATE account_statistics SET began_at = began_at - interval '3 d'")
    async with watched.watching(keep=timedelta(days=4)):
        await asyncio.sleep(0.1)
    assert 1 == await watched.stores.value("SELECT count(*) FROM account_statistics")

    async def forgotten() -> bool:
        return not await watched.stores.value("SELECT count(*) FROM account_statistics")

    async with watched.watching(keep=timedelta(days=2)):
        await eventually(forgotten, within=10)


async def test_many_reports_about_one_delivery_are_one_bounce(watched: Watched) -> None:
    """Who got a message knows its return path, and must not hold its sender's account with it."""
    claims = await watched.send(EventKind.DELIVERED, 20)
    delivery = claims[0].delivery
    returns = ReturnStore(watched.stores.database)
    async with watched.watching(STRICT):
        for number in range(10):
            detail = {**GONE, "digest": str(number)}
            event = Event(EventKind.BOUNCED, ACCOUNT, delivery.submission_id, delivery.id, detail)
            assert await returns.record(event, delivery)
    assert {"other": {"delivered": 20, "bounced": 1, "hard": 1}} == await watched.counts("provider")
    assert [] == await watched.held()


async def test_a_mistake_of_ours_ends_no_process(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again, and counted once."""
    mistakes = iter([True, True])

    async def frail(turn: CountingTurn, page: EventPage) -> set[UUID]:
        if next(mistakes, False):
            raise LookupError("a mistake")
        return await count(turn, page)

    count = CountingTurn.count
    monkeypatch.setattr(CountingTurn, "count", frail)
    async with watched.watching():
        await watched.send(EventKind.DELIVERED, 3)
    assert {"other": {"delivered": 3}} == await watched.counts("provider")
