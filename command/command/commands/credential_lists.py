"""`posthouse credential list` and `show`."""

from datetime import UTC, datetime
from typing import Any

import click

from command.context import data_option, json_option, print_json, with_store
from command.credential_provisioning import NoCredential
from command.table import print_line, print_table
from posthouse.mail.lane import Lane
from posthouse.mail.secret import HASH_OCTETS
from posthouse.store.credentials import CredentialStore
from posthouse.store.postgres import Postgres


@click.command("list")
@click.option("--account", metavar="NAME", help="Users of this account only.")
@click.option(
    "--stream", metavar="NAME", help="Users who may send in this stream only: its name or code."
)
@json_option
@data_option
def list_(account: str | None, stream: str | None, *, as_json: bool) -> None:
    """List users; their secrets can be read nowhere."""

    async def work(database: Postgres) -> list[Any]:
        return await CredentialStore(database).find(account=account, stream=stream)

    rows = [_shown(row) for row in with_store(work)]
    if as_json:
        print_json(rows)
        return
    columns = ("account", "username", "permissions", "lane", "highest_lane", "state", "note")
    print_table(
        columns,
        [[_text(row[column]) for column in columns] for row in rows],
        empty="there are no such credentials; make one with `posthouse credential create`",
    )


@click.command
@click.argument("username")
@json_option
@data_option
def show(username: str, *, as_json: bool) -> None:
    """Show all that is known of USERNAME, but not its secret, which is not kept."""

    async def work(database: Postgres) -> list[Any]:
        found = await CredentialStore(database).find(username=username)
        if not found:
            raise NoCredential(f"no credential is called {username!r}")
        return found

    shown = _shown(with_store(work)[0])
    if as_json:
        print_json(shown)
        return
    for name, value in shown.items():
        print_line(f"{name.replace('_', ' '):<16}{_text(value)}")


def _shown(row: Any) -> dict[str, Any]:
    mechanisms = ["PLAIN", "LOGIN", *(["SCRAM-SHA-256"] if row["has_scram"] else [])]
    return {
        "account": row["account"],
        "username": row["username"],
        "active": row["active"],
        "state": _state(row),
        "permissions": row["permissions"],
        "profile": row["profile"],
        "lane": Lane(row["lane"]).label,
        "highest_lane": Lane(row["highest_lane"]).label,
        "resubmission": row["resubmission"],
        "note": row["note"],
        "created_at": row["created_at"],
        "expires_at": row["expires_at"],
        "kept_by": "keyed hash" if row["hash_octets"] == HASH_OCTETS else "scrypt",
        "mechanisms": [*mechanisms, *(["CRAM-MD5"] if row["is_sealed"] else [])],
        "previous_secret_until": row["previous_until"],
    }


def _state(row: Any) -> str:
    if not row["active"]:
        return "disabled"
    is_over = row["expires_at"] is not None and row["expires_at"] <= datetime.now(UTC)
    return "expired" if is_over else "active"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return "" if value is None else str(value)
