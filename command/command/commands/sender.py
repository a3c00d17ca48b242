"""`posthouse account sender`."""

import click

from command.commands.suppression_files import account_option
from command.context import actor, data_option, friendly_errors, json_option, print_json, with_store
from command.message_flags import as_words, flag_options, said
from command.provisioning import account_id
from command.table import print_table
from posthouse.mail.address import Address
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres
from posthouse.store.streams import MOST_OF_AN_ACCOUNT, FlagChanges, SenderFlags, StreamStore


@click.group
def sender() -> None:
    """Settings for messages from one address (From)."""


@sender.command("set")
@click.argument("address")
@flag_options
@account_option
@data_option
def set_(address: str, flags: FlagChanges, account: str) -> None:
    """Change what is set for messages from ADDRESS, and show it.

    What a message itself asks for comes first; `profile` lets a flag be as the profile says.
    """
    mailbox = _mailbox(address)

    async def work(database: Postgres) -> SenderFlags | None:
        owner = await account_id(AccountStore(database), account)
        return await StreamStore(database).set_sender(owner, mailbox, flags)

    changed = with_store(work)
    if changed is None:
        raise click.ClickException(
            f"the account {account} has settings for {MOST_OF_AN_ACCOUNT} addresses, which is the "
            "most"
        )
    click.echo(f"{changed.address}: {said(changed.flags) or 'as the profile'}")


@sender.command
@click.argument("address")
@account_option
@data_option
def delete(address: str, account: str) -> None:
    """Let messages from ADDRESS be as the profile says."""
    mailbox = _mailbox(address)

    async def work(database: Postgres) -> bool:
        owner = await account_id(AccountStore(database), account)
        return await StreamStore(database).delete_sender(owner, mailbox, actor())

    if not with_store(work):
        raise click.ClickException(f"nothing is set for {mailbox} in the account {account}")
    click.echo(f"messages from {mailbox} are as the profile says")


@sender.command("list")
@account_option
@json_option
@data_option
def list_(*, account: str, as_json: bool) -> None:
    """List the addresses of an account for which something is set."""

    async def work(database: Postgres) -> list[SenderFlags]:
        owner = await account_id(AccountStore(database), account)
        return await StreamStore(database).senders(owner)

    found = with_store(work)
    if as_json:
        print_json([{"address": one.address, **as_words(one.flags)} for one in found])
        return
    print_table(
        ("address", "set"),
        [(one.address, said(one.flags)) for one in found],
        empty=f"nothing is set for single addresses in the account {account}",
    )


def _mailbox(text: str) -> str:
    with friendly_errors():
        return str(Address.parse(text))
