"""`posthouse report`, against a real database."""

import json
from collections.abc import Callable
from typing import TypeAlias

import asyncpg

from servers.posthouse_command import Run

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
