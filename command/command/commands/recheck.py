"""`posthouse suppression recheck`."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from command.context import actor, data_option, json_option, print_json, with_store
from command.provisioning import account_id
from command.table import print_table
from posthouse.answers import RULES_VERSION, why_not_listed
from posthouse.mail.reply import escaped
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres
from posthouse.store.suppression_recheck import BounceListReview


@click.command
@click.option("--account", metavar="NAME", help="Only entries of this account.")
@click.option("--lift", is_flag=True, help="Remove them all, in one action.")
@json_option
@data_option
def recheck(account: str | None, *, lift: bool, as_json: bool) -> None:
    """List the bounces that the rules of today would not have put on the list, and why.

    Every reply and report that an entry keeps is judged again. With --lift those entries are
    removed; the audit keeps them. Entries that were imported or added by hand are not judged.
    """

    async def work(database: Postgres) -> tuple[list[dict[str, Any]], int]:
        owner = await account_id(AccountStore(database), account) if account else None
        review = BounceListReview(database)
        wrong = [
            {**dict(entry), "why": why}
            async for entry in review.entries(owner)
            if (why := why_not_listed(entry["evidence"], for_good=entry["expires_at"] is None))
        ]
        if not lift or not wrong:
            return wrong, 0
        return wrong, await review.lift(wrong, actor=actor(), why=f"rules {RULES_VERSION}")

    wrong, lifted = with_store(work)
    if as_json:
        print_json(wrong)
    else:
        _print(wrong)
    if lift:
        click.echo(f"{lifted} lifted", err=as_json)
    elif wrong and not as_json:
        click.echo(f"{len(wrong)} entries; --lift removes them")


def _print(wrong: Sequence[Mapping[str, Any]]) -> None:
    print_table(
        ("account", "address", "listed as", "since", "the rules of today say"),
        [
            (
                entry["account"],
                escaped(entry["address"]),
                f"{entry['reason']} (rule {entry['rule']!r}, version {entry['version']})",
                f"{entry['created_at']:%Y-%m-%d %H:%M}",
                entry["why"],
            )
            for entry in wrong
        ],
        empty="the rules of today would make every entry again",
    )
