"""Reports count by time, tag, subject, sender and user, in any time zone."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from posthouse.store.traffic_reports import TrafficReports
from posthouse.traffic.bill import month_span
from posthouse.traffic.measures import MEASURES, Counts
from posthouse.traffic.traffic_report import TrafficReport
from posthouse.traffic.traffic_request import TrafficRequest
from servers.stores import ACCOUNT, Stores, open_stores

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SET = """
INSERT INTO message_sets (account_id, month, digest, stream, domain, credential_id, lane, tags,
                          subject, pattern, author, author_name)
VALUES ($1, $2, decode(md5(random()::text), 'hex'), $3, 'a.example', $4, $5, $6, $7, $8, $9, $10)
RETURNING id
"""


@dataclass
class Asked:
    """What was counted, and who asks for it."""

    stores: Stores

    async def counted(
        self, at: str, *, provider: str = "other", class_: str = "", counts: Counts, **about: Any
    ) -> None:
        """Counts of a set of its own, in the quarter that begins at *at*."""
        began_at = datetime.fromisoformat(at).astimezone(UTC)
        of = {"stream": "", "user": UUID(int=2), "lane": 3, "tags": (), "subject": "Hi"} | about
        subject = of["subject"]
        set_id = await self.stores.value(
            SET,
            ACCOUNT,
            began_at.date().replace(day=1),
            of["stream"],
            of["user"],
            of["lane"],
            of["tags"],
            subject,
            of.get("pattern", subject),
            of.get("author", "shop@a.example"),
            of.get("author_name", "Shop"),
        )
        numbers = ", ".join(map(str, counts))
        await self.stores.sql(
            f"INSERT INTO traffic_counts VALUES ($1, $2, $3, $4, $5, {numbers})",  # noqa: S608
            *(ACCOUNT, began_at, set_id, provider, class_),
        )

    async def report(self, **words: Sequence[str] | str) -> TrafficReport:
        """The answer to those words, of which one may stand for a list of one."""
        given = {word: [v] if isinstance(v, str) else v for word, v in words.items()}
        request = TrafficRequest.parse(given, NOW)
        return await TrafficReports(self.stores.database).read(ACCOUNT, request)

    async def accepted(self, **words: Sequence[str] | str) -> dict[Any, int]:
        """The accepted messages of each row."""
        rows = (await self.report(**words)).rows
        return {key[0] if len(key) == 1 else key: counts.accepted for key, counts in rows}


@pytest_asyncio.fixture
async def asked(database: str) -> AsyncIterator[Asked]:
    async with open_stores(database) as stores:
        yield Asked(stores)


async def test_M22_reports_are_filtered_by_one_tag_or_several(asked: Asked) -> None:
    for number, tags in enumerate((["a"], ["a", "b"], ["b", "c"], ["c"], [], None)):
        await asked.counted("2026-11-30T08:00+00:00", tags=tags, counts=Counts(accepted=10**number))
    everything = {"a": 11, "b": 110, "c": 1100, "": 10_000, None: 100_000}
    assert everything == await asked.accepted(by="tag")
    for words, accepted in (
        ({"tag": ["a"]}, 11),
        ({"tag": ["a", "c"]}, 1111),
        ({"tag": ["a", "b"], "match": "all"}, 10),
        ({"tag": ["a", "c"], "match": "all"}, 0),
        ({"tag": ["nowhere"]}, 0),
        ({}, 111_111),
    ):
        answer = await asked.report(**words)
        assert accepted == answer.total.accepted, words
        # Nobody knows any more which tags these had.
        assert (100_000 if words else 0) == answer.unknown.accepted, words
    assert {"a": 11, "b": 10} == await asked.accepted(by="tag", tag="a")
    assert {"a": 1, "a,b": 10} == await asked.accepted(by="tags", tag="a")


async def test_U22_reports_by_time_subject_sender_and_user(asked: Asked) -> None:
    await asked.stores.sql(
        "INSERT INTO credentials (id, account_id, username, secret_hash)"
        " VALUES ($2, $1, 'app-1', '')",
        *(ACCOUNT, UUID(int=2)),
    )
    one: dict[str, Any] = {
        "subject": "Order 7",
        "pattern": "Order #",
        "author": "jo@a.example",
        "author_name": "Jo",
    }
    other: dict[str, Any] = {
        "subject": "Order 8",
        "pattern": "Order #",
        "user": UUID(int=3),
        "lane": 5,
    }
    await asked.counted("2025-12-31T23:45+00:00", **one, counts=Counts(accepted=1))
    await asked.counted("2026-11-29T23:00+00:00", **other, counts=Counts(accepted=10))
    await asked.counted("2026-11-30T00:30+00:00", **one, counts=Counts(accepted=100))
    span = {"since": "2025-01-01", "until": "2026-11-30"}
    for by, expected in (
        ("year", {"2025": 1, "2026": 110}),
        ("month", {"2025-12": 1, "2026-11": 110}),
        ("week", {"2026-W01": 1, "2026-W48": 10, "2026-W49": 100}),
        ("day", {"2025-12-31": 1, "2026-11-29": 10, "2026-11-30": 100}),
        ("subject", {"Order 7": 101, "Order 8": 10}),
        ("dynamic-subject", {"Order #": 111}),
        ("sender", {"jo@a.example": 101, "shop@a.example": 10}),
        ("sender-name", {"Jo": 101, "Shop": 10}),
        ("user", {"app-1": 101, "": 10}),
        ("lane", {"normal": 101, "bulk": 10}),
        (
            ["sender", "subject"],
            {("jo@a.example", "Order 7"): 101, ("shop@a.example", "Order 8"): 10},
        ),
        (["month,user"], {("2025-12", "app-1"): 1, ("2026-11", "app-1"): 100, ("2026-11", ""): 10}),
    ):
        assert expected == await asked.accepted(by=by, **span), by
    for word, value in (
        ("subject", "Order 7"),
        ("sender", "jo@a.example"),
        ("user", "app-1"),
        ("lane", "3"),
    ):
        assert 101 == (await asked.report(**span, **{word: value})).total.accepted, word


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("UTC", {"2026-10-24": 1, "2026-10-25": 1110}),
        ("Europe/Rome", {"2026-10-25": 111, "2026-10-26": 1000}),  # a day of 25 hours
        ("Asia/Kathmandu", {"2026-10-25": 11, "2026-10-26": 1100}),  # UTC and 5:45
        ("America/New_York", {"2026-10-24": 11, "2026-10-25": 1100}),
    ],
)
async def test_a_day_is_that_of_any_zone(asked: Asked, zone: str, expected: dict[str, int]) -> None:
    for number, at in enumerate(("24T22:00", "25T00:00", "25T18:15", "25T23:00")):
        await asked.counted(f"2026-10-{at}+00:00", counts=Counts(accepted=10**number))
    span = {"since": "2026-10-24", "until": "2026-10-26"}
    assert expected == await asked.accepted(by="day", zone=zone, **span)
    (day, accepted), *_ = expected.items()
    alone = await asked.report(since=day, until=day, zone=zone)
    assert accepted == alone.total.accepted


async def test_hours_and_quarters_keep_apart_what_a_change_of_clocks_repeats(asked: Asked) -> None:
    for number, at in enumerate(("00:30", "00:45", "01:30")):
        await asked.counted(f"2026-10-25T{at}+00:00", counts=Counts(accepted=10**number))
    rome = {"zone": "Europe/Rome", "since": "2026-10-25", "until": "2026-10-25"}
    expected = {"2026-10-25T02:00+02:00": 11, "2026-10-25T02:00+01:00": 100}
    assert expected == await asked.accepted(by="hour", **rome)
    assert 3 == len(await asked.accepted(by="quarter-hour", **rome))
    later = await asked.report(since="2026-10-25T00:50+00:00", until="2026-10-25T01:30+00:00")
    assert 10 == later.total.accepted  # the quarter that a time lies in counts whole


async def test_every_measure_is_read_and_told_by_provider_and_class(asked: Asked) -> None:
    counts = Counts(*range(1, len(MEASURES) + 1))
    await asked.counted("2026-11-30T08:00+00:00", counts=counts, provider="google", class_="policy")
    await asked.counted("2026-11-30T08:00+00:00", counts=Counts(delivered=1), stream="news")
    answer = await asked.report(by=["provider", "class"])
    assert ((("google", "policy"), counts), (("other", ""), Counts(delivered=1))) == answer.rows
    assert counts == (await asked.report(by=[], provider="google")).total
    assert 1 == (await asked.report(by="stream", stream="news")).total.delivered
    assert counts == (await asked.report(domain="a.example", stream="")).total
    assert answer.as_json()["rows"][0]["clicked_unknown"] == len(MEASURES)
    assert answer.as_csv().splitlines()[1].startswith("google,policy,1,2,3,")


async def test_E05_E06_a_month_is_billed_by_account_and_mailing(asked: Asked) -> None:
    await asked.stores.sql("UPDATE accounts SET name = 'shop' WHERE id = $1", ACCOUNT)
    mail = Counts(accepted=2, recipients=3, delivered=3)
    for at in ("2026-10-31T23:30+01:00", "2026-11-01T00:00+01:00", "2026-11-30T23:45+01:00"):
        await asked.counted(at, counts=mail, stream="news")
    # What is not told apart is billed too.
    await asked.counted("2026-11-02T00:00+01:00", counts=mail, tags=None, subject=None)
    await asked.counted("2026-12-01T00:00+01:00", counts=mail)
    reports = TrafficReports(asked.stores.database)
    bill = await reports.bill(None, *month_span("2026-11", ZoneInfo("Europe/Rome")))
    assert [("shop", "", 2, 3, 3), ("shop", "news", 4, 6, 6)] == list(bill)
    assert () == await reports.bill(UUID(int=9), *month_span("2026-11", ZoneInfo("UTC")))


async def test_deliverability_is_of_the_days_before_and_has_a_sample(asked: Asked) -> None:
    await asked.counted("2026-11-01T08:00+00:00", counts=Counts(delivered=1000), provider="google")
    await asked.counted("2026-11-29T08:00+00:00", counts=Counts(delivered=900), provider="google")
    await asked.counted(
        "2026-11-29T08:00+00:00", counts=Counts(soft=100), provider="google", class_="reputation"
    )
    await asked.stores.sql(
        "INSERT INTO refusal_samples VALUES ($1, 'google', 'reputation', now(), $1, '550 blocked')",
        ACCOUNT,
    )
    found = await TrafficReports(asked.stores.database).deliverability(ACCOUNT, NOW)
    (google,) = found.providers
    assert (("soft",), 1000, 1000) == (google.worse, google.recent.ended, google.past.ended)
    (reason,) = found.reasons
    assert reason.sample is not None
    assert ("reputation", "550 blocked") == (reason.answer, reason.sample.reply)
