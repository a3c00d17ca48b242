"""`posthouse postmaster`."""

from typing import Any
from uuid import UUID

import click

from command.context import data_option, json_option, print_json, with_store
from command.table import print_table
from posthouse.mail.message import Header
from posthouse.store.kept_mail import KeptMail, OperatorMailStore
from posthouse.store.postgres import Postgres

_SHOWN = 60  # characters of a subject


@click.group
def postmaster() -> None:
    """Mail to postmaster@ and abuse@ of this relay that was not forwarded to its operator."""


@postmaster.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@json_option
@data_option
def list_(limit: int, *, as_json: bool) -> None:
    """List the newest messages."""

    async def work(database: Postgres) -> list[KeptMail]:
        return await OperatorMailStore(database).newest(limit)

    mails = with_store(work)
    if as_json:
        print_json([_as_json(mail) for mail in mails])
        return
    print_table(
        ("id", "received", "to", "from", "subject", "kept because"),
        [
            (
                mail.id.hex,
                f"{mail.received_at:%Y-%m-%d %H:%M}",
                mail.recipient,
                mail.sender or "<>",
                _subject(mail)[:_SHOWN],
                mail.reason,
            )
            for mail in mails
        ],
        empty="no mail is kept for the operator",
    )


@postmaster.command
@click.argument("id_", metavar="ID", type=click.UUID)
@click.option("--raw", is_flag=True, help="The octets as they came.")
@data_option
def show(id_: UUID, *, raw: bool) -> None:
    """Print the message ID; of a long one the start."""

    async def work(database: Postgres) -> KeptMail | None:
        return await OperatorMailStore(database).find(id_)

    mail = with_store(work)
    if mail is None:
        raise click.ClickException(f"no message {id_.hex} is kept")
    click.echo(mail.content if raw else harmless(mail.content), nl=False)


@postmaster.command
@click.argument("id_", metavar="ID", type=click.UUID, required=False)
@click.option("--all", "everything", is_flag=True, help="Remove all of them.")
@data_option
def remove(id_: UUID | None, *, everything: bool) -> None:
    """Remove the message ID."""
    if (id_ is None) is not everything:
        raise click.UsageError("name one message, or say --all")

    async def work(database: Postgres) -> int:
        return await OperatorMailStore(database).remove(id_)

    count = with_store(work)
    if id_ is not None and not count:
        raise click.ClickException(f"no message {id_.hex} is kept")
    click.echo(f"removed {count} {'message' if count == 1 else 'messages'}")


def _as_json(mail: KeptMail) -> dict[str, Any]:
    return {
        "id": mail.id.hex,
        "received_at": mail.received_at,
        "recipient": mail.recipient,
        "sender": mail.sender,
        "client": mail.client,
        "subject": _subject(mail),
        "size": mail.size,
        "reason": mail.reason,
    }


def _subject(mail: KeptMail) -> str:
    return harmless((Header.parse(mail.content).first("Subject") or "").encode())


def harmless(content: bytes) -> str:
    """Text by a stranger: what a terminal could obey is shown as "?"."""
    text = content.decode(errors="replace").replace("\r\n", "\n")
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)
