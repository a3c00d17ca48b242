"""`posthouse audit`."""

from typing import Any

import click

from command.context import data_option, json_option, print_json, with_store
from command.table import print_table
from posthouse.store.audit_log import AuditStore
from posthouse.store.postgres import Postgres


@click.command
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@json_option
@data_option
def audit(limit: int, *, as_json: bool) -> None:
    """What operators did, newest first: who, when and what."""

    async def work(database: Postgres) -> list[dict[str, Any]]:
        return [dict(line) for line in await AuditStore(database).newest(limit)]

    lines = with_store(work)
    if as_json:
        print_json(lines)
        return
    print_table(
        ("when", "who", "account", "action", "what"),
        [
            (
                f"{line['at']:%Y-%m-%d %H:%M:%S}",
                line["actor"],
                line["account"] or "",
                line["action"],
                ", ".join(f"{name} {_said(value)}" for name, value in line["detail"].items()),
            )
            for line in lines
        ],
        empty="nothing was done yet",
    )


def _said(value: object) -> str:
    if isinstance(value, list):
        return " ".join(
            entry["address"] if isinstance(entry, dict) else str(entry) for entry in value
        )
    return repr(value) if value == "" else str(value)
