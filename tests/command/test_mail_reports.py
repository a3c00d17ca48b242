"""`posthouse report`, against a real database."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

import asyncpg

from servers.posthouse_command import Run
from servers.stores import ACCOUNT, delivered, open_stores

Command: TypeAlias = Callable[..., Run]

COUNT = """
WITH made AS (
    INSERT INTO message_sets (account_id, month, digest, stream, domain, lane, tags, subject,
                              pattern, author, author_name)
    SELECT id, '2026-11-01', digest, 'news', '', 3, tags, '=Hi', '=Hi', '', ''
    FROM accounts, (VALUES ('1'::bytea, '{a,b}'::text[]), ('2', NULL)) AS t(digest, tags)
    WHERE name = 'shop'
    RETURNING id, account_id
)
INSERT INTO traffic_counts (account_id, began_at, set_id, provider, class, accepted, delivered)
SELECT account_id, '2026-11-30 23:00:00+00', id, '', '', 2, 3 FROM made
"""
COUNT_RESULT = """
INSERT INTO traffic_counts (account_id, began_at, set_id, provider, class, {})
VALUES ($1, $2, $3, $4, $5, $6)
"""
TRAFFIC = (
    *("report", "traffic", "--account", "shop"),
    *("--since", "2026-11-01", "--until", "2026-12-01"),
)


async def test_counts_and_a_bill_are_shown_for_people_programs_and_spreadsheets(
    posthouse: Command, database: str
) -> None:
    posthouse("account", "create", "shop")
    connection = await asyncpg.connect(database)
    await connection.execute(COUNT)
    await connection.close()
    shown = posthouse(*TRAFFIC, "--by", "day", "--by", "subject", "--zone", "Europe/Rome").stdout
    lines = [line.split() for line in shown.splitlines()]
    assert ["day", "subject", "accepted", "delivered"] in lines
    assert ["2026-12-01", "=Hi", "4", "6"] in lines
    assert ["total", "4", "6"] in lines
    answer = json.loads(posthouse(*TRAFFIC, "--by", "tag", "--json").stdout)
    assert [("a", 2), ("b", 2), (None, 2)] == [(r["tag"], r["accepted"]) for r in answer["rows"]]
    assert 4 == answer["total"]["accepted"]
    csv = posthouse(*TRAFFIC, "--by", "subject", "--csv").stdout.splitlines()
    assert ["subject,accepted,recipients,delivered", "'=Hi,4,0,6"] == [
        ",".join(line.split(",")[:4]) for line in csv
    ]
    shown = posthouse(*TRAFFIC, "--tag", "a", "--tag", "b", "--match", "all").stdout
    assert "2 more messages, and 3 results, are not told apart by what was asked for" in shown
    assert "nothing was counted for shop" in posthouse(*TRAFFIC, "--stream", "other").stdout
    says = posthouse(*TRAFFIC, "--by", "colour", status=1).stderr
    assert "by: 'colour' is none of: quarter-hour, hour, day" in says
    bill = ("report", "billing", "--month", "2026-11")
    assert "shop news 4 0 6" in " ".join(posthouse(*bill).stdout.split())
    assert [{"month": "2026-11", "account": "shop", "stream": "news"}] == [
        {name: line[name] for name in ("month", "account", "stream")}
        for line in json.loads(posthouse(*bill, "--json").stdout)
    ]
    assert "2026-11,shop,news,4,0,6" in posthouse(*bill, "--csv").stdout
    empty = posthouse(*bill, "--account", "shop", "--zone", "Pacific/Auckland").stdout
    assert "nothing was counted in 2026-11" in empty


async def test_a_message_and_how_mail_arrives_are_shown(posthouse: Command, database: str) -> None:
    async with open_stores(database) as stores:
        one = await stores.one_claimed()
        await stores.deliveries.settle(delivered(one))
        now = datetime.now(UTC)
        counts = (ACCOUNT, now, 1, "google")
        await stores.sql(COUNT_RESULT.format("delivered"), *counts, "", 90)
        await stores.sql(COUNT_RESULT.format("soft"), *counts, "reputation", 10)
        sample = ("google", "reputation", now, one.delivery.submission_id, "550 blocked\x1b")
        await stores.sql(
            "INSERT INTO refusal_samples VALUES ($1, $2, $3, $4, $5, $6)", ACCOUNT, *sample
        )
    id_ = one.delivery.submission_id.hex
    (line,) = json.loads(posthouse("report", "message", id_, "--json").stdout)
    assert (id_, "ann@dest.example", "delivered", 0) == (
        *(line[name] for name in ("message", "recipient", "state", "opened_human")),
    )
    assert f"{id_}," in posthouse("report", "message", id_, "--csv").stdout
    assert "ann@dest.example" in posthouse("report", "messages", "--account", "shop").stdout
    says = posthouse("report", "message", "0" * 32, status=1).stderr
    assert f"there is no message {'0' * 32}, or it is older than messages are kept" in says
    shown = posthouse("report", "deliverability", "--account", "shop").stdout
    assert "google 100 0.00 (-) 10.00 (-) 0.00 (-) 0.00 (-) 0.00 (-)" in " ".join(shown.split())
    assert "1. reputation: 10 refused (10.0 %), 0 deferred, most at google" in shown
    assert f"{id_}: 550 blocked\\x1b" in shown
    told = json.loads(posthouse("report", "deliverability", "--account", "shop", "--json").stdout)
    assert 10.0 == told["providers"][0]["soft"]
