"""`posthouse account hold` and `release`."""

from uuid import UUID

import click

from command.context import actor, data_option, with_store
from command.provisioning import account_id
from posthouse.store.account_holds import AccountHolds
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres

_with_children = click.option(
    "--with-children", is_flag=True, help="The accounts whose parent it is, too."
)


@click.command
@click.argument("name")
@click.option("--reason", required=True, metavar="TEXT", help="Shown wherever the hold is.")
@_with_children
@data_option
def hold(name: str, *, reason: str, with_children: bool) -> None:
    """Hold the mail of the account NAME: it is accepted, and waits until it is released.

    What is on the wire finishes. A hold on an account is none on its children.
    """
    if not reason.strip():
        raise click.ClickException("--reason is empty: say in a few words why the mail waits")
    who = actor()

    async def work(database: Postgres) -> list[tuple[str, bool]]:
        holds = AccountHolds(database)
        return [
            (account, await holds.hold(id_, who, reason))
            for account, id_ in await _chosen(database, name, with_children=with_children)
        ]

    for account, is_new in with_store(work):
        click.echo(f"{account} is held" if is_new else f"{account} was held already")


@click.command
@click.argument("name")
@_with_children
@data_option
def release(name: str, *, with_children: bool) -> None:
    """Release the mail of the account NAME: it is due as before it was held.

    It has as much time as when it was accepted. Thresholds count from now on.
    """
    who = actor()

    async def work(database: Postgres) -> list[str]:
        holds = AccountHolds(database)
        found = []
        for account, id_ in await _chosen(database, name, with_children=with_children):
            ended = await holds.release(id_, who)
            found.append(
                f"{account} is released; it was held since {ended.held_at:%Y-%m-%d %H:%M} "
                f"by {ended.actor}: {ended.reason}"
                if ended
                else f"{account} was not held"
            )
        return found

    for line in with_store(work):
        click.echo(line)


async def _chosen(database: Postgres, name: str, *, with_children: bool) -> list[tuple[str, UUID]]:
    accounts = AccountStore(database)
    owner = await account_id(accounts, name)
    children = await accounts.children(owner) if with_children else []
    return [(name, owner), *children]
