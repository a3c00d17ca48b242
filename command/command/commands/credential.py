"""`posthouse credential`."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import click

from command.account_profiles import check_profile
from command.context import (
    LANE,
    data_option,
    friendly_errors,
    json_option,
    print_json,
    settings,
    with_secret_key,
    with_store,
)
from command.dns_records import Record, print_records, records_of
from command.provisioning import (
    NewCredential,
    create_credential,
    domain_name,
    domain_rows,
    ensure_account,
    ensure_domain,
)
from command.table import print_table
from posthouse.mail.lane import Lane
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres


@click.group
def credential() -> None:
    """SMTP users of an account."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    account: str
    username: str | None
    lane: Lane
    highest_lane: Lane
    domains: tuple[str, ...]
    profile: str
    note: str


@credential.command
@click.option(
    "--account", default="default", show_default=True, metavar="NAME", help="Made if missing."
)
@click.option("--username", help="Default: a random one.")
@click.option(
    "--lane", type=LANE, default="normal", show_default=True, help="For messages without priority."
)
@click.option(
    "--highest-lane",
    type=LANE,
    default="high",
    show_default=True,
    help="The highest that messages may ask for. Very high stops all other mail.",
)
@click.option(
    "--domain",
    "domains",
    multiple=True,
    metavar="NAME",
    help="Sending domain of the account; made with DKIM keys if it is new. Repeatable.",
)
@click.option(
    "--profile",
    default="native",
    show_default=True,
    metavar="NAME",
    help="How mail of this user is treated: a preset, or a profile of the account.",
)
@click.option("--note", default="", help="A note for the operator.")
@json_option
@data_option
def create(
    *,
    account: str,
    username: str | None,
    lane: Lane,
    highest_lane: Lane,
    domains: tuple[str, ...],
    profile: str,
    note: str,
    as_json: bool,
) -> None:
    """Make a user and a secret, which is shown only now."""
    if lane < highest_lane:
        raise click.ClickException(
            f"the lane {lane.label} is above {highest_lane.label}, the highest it may have"
        )
    with friendly_errors():
        names = tuple(dict.fromkeys(domain_name(name) for name in domains))
    wanted = _Wanted(account, username, lane, highest_lane, names, profile, note)
    relay = settings().hostname
    made, records = with_secret_key(lambda database, key: _create(database, key, relay, wanted))
    _show(wanted, made, records, as_json=as_json)


async def _create(
    database: Postgres, key: bytes, relay: str, wanted: _Wanted
) -> tuple[NewCredential, tuple[Record, ...]]:
    accounts = AccountStore(database)
    await check_profile(accounts, await accounts.account(wanted.account), wanted.profile)
    owner = await ensure_account(accounts, wanted.account)
    records: list[Record] = []
    # Domains first: a refused domain must not leave a user whose secret was never shown.
    for name in wanted.domains:
        await ensure_domain(accounts, owner, name, key, today=datetime.now(UTC).date())
        records += records_of(await domain_rows(accounts, wanted.account, name), relay)
    made = await create_credential(
        accounts,
        owner,
        key,
        username=wanted.username,
        lane=wanted.lane,
        highest_lane=wanted.highest_lane,
        profile=wanted.profile,
        note=wanted.note,
    )
    return made, tuple(records)


def _show(
    wanted: _Wanted, made: NewCredential, records: tuple[Record, ...], *, as_json: bool
) -> None:
    if as_json:
        print_json(
            {
                "account": wanted.account,
                "username": made.username,
                "secret": made.secret,
                "lane": wanted.lane.label,
                "highest_lane": wanted.highest_lane.label,
                "profile": wanted.profile,
                "domains": list(wanted.domains),
                "records": [asdict(record) for record in records],
            }
        )
        return
    click.echo(f"account   {wanted.account}\nusername  {made.username}\nsecret    {made.secret}")
    click.echo("The secret is not shown again.")
    if records:
        click.echo("\nRecords to publish:")
        print_records(records, settings().hostname)
    else:
        click.echo(f"It may send as every verified domain of {wanted.account} and its children.")


@credential.command("list")
@json_option
@data_option
def list_(*, as_json: bool) -> None:
    """List all users; secrets are not kept."""

    async def work(database: Postgres) -> list[dict[str, Any]]:
        return [dict(row) for row in await AccountStore(database).credentials()]

    rows = [
        {**row, "lane": Lane(row["lane"]).label, "highest_lane": Lane(row["highest_lane"]).label}
        for row in with_store(work)
    ]
    if as_json:
        print_json(rows)
        return
    shown = ("account", "username", "lane", "highest_lane", "state", "note")
    print_table(
        shown,
        [
            [str({**row, "state": "active" if row["active"] else "disabled"}[k]) for k in shown]
            for row in rows
        ],
        empty="there are no credentials; make one with `posthouse credential create`",
    )


@credential.command
@click.argument("username")
@data_option
def disable(username: str) -> None:
    """Refuse USERNAME from now on (within half a minute where it is logged in)."""
    _switch(username, active=False)


@credential.command
@click.argument("username")
@data_option
def enable(username: str) -> None:
    """Allow USERNAME to log in again."""
    _switch(username, active=True)


def _switch(username: str, *, active: bool) -> None:
    async def work(database: Postgres) -> bool:
        return await AccountStore(database).set_credential_active(username, active=active)

    if not with_store(work):
        raise click.ClickException(f"no credential is called {username!r}")
    click.echo(f"{username} is {'active' if active else 'disabled'}")
