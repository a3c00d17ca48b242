"""`posthouse credential limit` and `posthouse account limit` (RULES U24)."""

import json
from collections.abc import Callable
from typing import TypeAlias

import asyncpg
import pytest

from servers.posthouse_command import Run

Command: TypeAlias = Callable[..., Run]


@pytest.fixture(autouse=True)
def _shop(posthouse: Command) -> None:
    posthouse("credential", "create", "--username", "app", "--account", "shop")


def test_U24_a_limit_is_set_changed_shown_and_removed(posthouse: Command) -> None:
    assert posthouse("credential", "limit", "app").stdout == "there is no limit\n"
    posthouse("credential", "limit", "app", "--messages", "1000/h", "--action", "delay")
    posthouse("credential", "limit", "app", "--messages", "500/day", "--recipients", "9/min")
    shown = json.loads(posthouse("credential", "limit", "app", "--json").stdout)
    assert [
        ("messages", "day", 500, "refuse", 0),
        ("messages", "hour", 1000, "delay", 0),
        ("recipients", "minute", 9, "refuse", 0),
    ] == [(r["counted"], r["period"], r["most"], r["action"], r["used"]) for r in shown]
    posthouse("credential", "limit", "app", "--messages", "20/hour", "--remove", "messages/day")
    shown_table = " ".join(posthouse("credential", "limit", "app").stdout.split())
    assert "20 messages an hour refuse" in shown_table
    assert "9 recipients a minute refuse" in shown_table
    assert "a day" not in shown_table


async def test_a_limit_of_an_account_is_its_own_and_in_the_audit(
    posthouse: Command, database: str
) -> None:
    posthouse("account", "limit", "shop", "--messages", "7/month", "--action", "hold")
    assert posthouse("credential", "limit", "app").stdout == "there is no limit\n"
    connection = await asyncpg.connect(database)
    rows = await connection.fetch(
        "SELECT r.counted, r.period, r.most, r.action FROM rate_limits r"
        " JOIN accounts a ON a.id = r.owner_id WHERE a.name = 'shop'"
    )
    await connection.close()
    assert [("messages", "month", 7, "hold")] == [tuple(row) for row in rows]
    posthouse("account", "limit", "shop", "--remove", "messages/month")
    shown = posthouse("audit").stdout
    assert "account limit" in shown
    assert "7 messages a month" in shown
    assert "messages/month" in shown


@pytest.mark.parametrize(
    ("arguments", "says", "status"),
    [
        (("credential", "limit", "nobody"), "no credential is called 'nobody'", 1),
        (("account", "limit", "none"), "no account is called 'none'", 1),
        (
            ("credential", "limit", "app", "--messages", "1000"),
            "'1000' is not NUMBER/PERIOD, such as 1000/hour: from 1 to 1000000000",
            1,
        ),
        (
            ("credential", "limit", "app", "--remove", "messages/hour"),
            "app has no limit of messages/hour",
            1,
        ),
        (("credential", "limit", "app", "--remove", "messages"), "'messages' is not one of", 2),
        (("credential", "limit", "app", "--action", "drop"), "'drop' is not one of", 2),
    ],
)
def test_what_cannot_be_a_limit_is_told_why(
    posthouse: Command, arguments: tuple[str, ...], says: str, status: int
) -> None:
    refused = posthouse(*arguments, status=status).stderr
    assert says in " ".join(refused.replace("│", " ").split())
