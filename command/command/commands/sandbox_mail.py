"""`posthouse sandbox`."""

from typing import Any

import click

from command.commands.message_timeline import message_id
from command.commands.postmaster import harmless
from command.context import data_option, json_option, print_json, with_store
from command.provisioning import account_id
from command.table import print_table
from posthouse.mail.message import Header
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres
from posthouse.store.sandbox import SandboxedMessage, SandboxStore

_SHOWN = 60  # characters of a subject


@click.group
def sandbox() -> None:
    """Mail from the sandbox domain: it is kept for seven days, to be read."""


@sandbox.command("list")
@click.option("--account", metavar="NAME", help="Only mail of this account.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@json_option
@data_option
def list_(account: str | None, limit: int, *, as_json: bool) -> None:
    """List the newest messages, a line for each copy that recipients would have got."""

    async def work(database: Postgres) -> list[SandboxedMessage]:
        owner = await account_id(AccountStore(database), account) if account else None
        return await SandboxStore(database).newest(limit, owner)

    found = with_store(work)
    if as_json:
        print_json([_as_json(one) for one in found])
        return
    print_table(
        ("message", "account", "kept", "from", "to", "delivered", "subject"),
        [
            (
                one.id.hex,
                one.account,
                f"{one.kept_at:%Y-%m-%d %H:%M}",
                one.sender,
                _named(one.recipients),
                _named(one.delivered_to),
                _subject(one)[:_SHOWN],
            )
            for one in found
        ],
        empty="nothing was sent from the sandbox domain within seven days",
    )


@sandbox.command
@click.argument("id_", metavar="ID")
@click.option("--raw", is_flag=True, help="The octets, as they would have been sent.")
@data_option
def show(id_: str, *, raw: bool) -> None:
    """Print the message ID as its recipients would have got it: each copy, if there are several."""
    wanted = message_id(id_)

    async def work(database: Postgres) -> list[bytes]:
        return await SandboxStore(database).copies(wanted)

    copies = with_store(work)
    if not copies:
        raise click.ClickException(f"no message {wanted.hex} is kept in the sandbox")
    for copy in copies:
        click.echo(copy if raw else harmless(copy), nl=False)


def _as_json(one: SandboxedMessage) -> dict[str, Any]:
    return {
        "id": one.id.hex,
        "account": one.account,
        "kept_at": one.kept_at,
        "sender": one.sender,
        "recipients": one.recipients,
        "delivered_to": one.delivered_to,
        "subject": _subject(one),
        "size": one.size,
    }


def _named(addresses: tuple[str, ...]) -> str:
    more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
    return f"{addresses[0]}{more}" if addresses else "nobody"


def _subject(one: SandboxedMessage) -> str:
    return harmless((Header.parse(one.header).first("Subject") or "").encode())
