"""`posthouse account statistics`."""

from collections.abc import Mapping
from typing import Any

import click

from command.context import data_option, json_option, print_json, with_store
from command.provisioning import account_id
from command.table import print_table
from posthouse.answers import HARD_CLASSES
from posthouse.store.account_statistics import AccountStatistics
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres

_COUNTS = ("delivered", "deferred", "bounced", "hard", "expired", "complained", "unsubscribed")
_PARTS = ("day", "stream", "domain", "provider", "class")


@click.command
@click.argument("name")
@click.option("--days", type=click.IntRange(1, 3650), default=7, show_default=True)
@click.option("--by", type=click.Choice(_PARTS), default="day", show_default=True)
@json_option
@data_option
def statistics(name: str, *, days: int, by: str, as_json: bool) -> None:
    """What became of mail of the account NAME, counted by recipients.

    Deferred are attempts. Hard are the bounced ones whose mailbox or domain does not exist; their
    share is of what was delivered or bounced, that of complaints of what was delivered.
    """

    async def work(database: Postgres) -> list[dict[str, Any]]:
        owner = await account_id(AccountStore(database), name)
        return await AccountStatistics(database).read(owner, days, by, HARD_CLASSES)

    rows = with_store(work)
    if as_json:
        print_json([{by: row.pop("part"), **row} for row in rows])
        return
    print_table(
        (by, *_COUNTS, "hard %", "complained %"),
        [
            (
                row["part"] or "none",
                *(str(row[count]) for count in _COUNTS),
                _percent(row, "hard", "delivered", "bounced"),
                _percent(row, "complained", "delivered"),
            )
            for row in rows
        ],
        empty=f"nothing was counted for {name} in the last {days} days",
        numbers=len(_COUNTS) + 2,
    )


def _percent(row: Mapping[str, int], count: str, *whole: str) -> str:
    of = sum(row[name] for name in whole)
    return f"{100 * row[count] / of:.2f}" if of else ""
