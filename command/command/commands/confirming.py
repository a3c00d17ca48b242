"""`posthouse account confirm`."""

import click

from bounces.core.notices.confirmation_text import confirmation_notice
from bounces.core.notices.notice_text import Frame
from command.context import actor, data_option, friendly_errors, settings, with_store
from command.provisioning import account_id
from command.table import print_table
from posthouse.mail.address import Address
from posthouse.mail.due_results import OPERATOR
from posthouse.mail.lane import Lane
from posthouse.running.identity import new_id
from posthouse.store.accounts import AccountStore
from posthouse.store.confirmations import (
    Confirmation,
    ConfirmationStore,
    Confirmed,
    new_code,
)
from posthouse.store.postgres import Postgres

_SAID = {
    Confirmed.WRONG: "that is not the code that was mailed to {address}",
    Confirmed.NO_CODE: (
        "no code was mailed to {address} within a day, or too many wrong ones were tried: "
        "ask for one without --code"
    ),
}


@click.command
@click.argument("name")
@click.argument("address", required=False)
@click.option("--code", help="What was mailed to ADDRESS; without it a code is mailed.")
@click.option("--remove", is_flag=True, help="Send nothing more to ADDRESS.")
@data_option
def confirm(name: str, address: str | None, *, code: str | None, remove: bool) -> None:
    """Confirm ADDRESS as one to which the account NAME may send from the sandbox domain.

    A code is mailed to it, and given with --code it confirms the address: so its owner agrees. A
    message from the sandbox domain is delivered to confirmed addresses if the profile says so
    (the knob sandbox.deliver_to_confirmed). Without ADDRESS: which are confirmed.
    """
    if address is None:
        _list(name)
        return
    with friendly_errors():
        parsed = Address.parse(address)
    if remove:
        _remove(name, parsed)
    elif code is None:
        _ask(name, parsed)
    else:
        _check(name, parsed, code)


def _list(name: str) -> None:
    async def work(database: Postgres) -> list[Confirmation]:
        owner = await account_id(AccountStore(database), name)
        return await ConfirmationStore(database).of_account(owner)

    print_table(
        ("address", "code mailed", "confirmed"),
        [
            (
                one.address,
                f"{one.asked_at:%Y-%m-%d %H:%M}",
                f"{one.confirmed_at:%Y-%m-%d %H:%M}" if one.confirmed_at else "no",
            )
            for one in with_store(work)
        ],
        empty=f"{name} has no confirmed address",
    )


def _ask(name: str, address: Address) -> None:
    hostname, code = settings().hostname, new_code()
    frame = Frame(new_id(), hostname, hostname)

    async def work(database: Postgres) -> bool:
        owner = await account_id(AccountStore(database), name)
        text = confirmation_notice(str(address), name, code, frame)
        notice = frame.submission(OPERATOR, str(address), Lane.HIGH, text)
        return await ConfirmationStore(database).ask(owner, address, code, notice)

    if not with_store(work):
        raise click.ClickException(f"a code was mailed to {address} within the last ten minutes")
    click.echo(f"a code is being mailed to {address}: give it with --code within a day")


def _check(name: str, address: Address, code: str) -> None:
    async def work(database: Postgres) -> Confirmed:
        owner = await account_id(AccountStore(database), name)
        return await ConfirmationStore(database).confirm(owner, address, code)

    found = with_store(work)
    if found is not Confirmed.YES:
        raise click.ClickException(_SAID[found].format(address=address))
    click.echo(f"{address} is confirmed: {name} may send to it from the sandbox domain")


def _remove(name: str, address: Address) -> None:
    async def work(database: Postgres) -> bool:
        owner = await account_id(AccountStore(database), name)
        return await ConfirmationStore(database).remove(owner, address, actor())

    if not with_store(work):
        raise click.ClickException(f"{name} has not asked for {address}")
    click.echo(f"{name} no longer sends to {address} from the sandbox domain")
