"""`posthouse profile`."""

import json
from typing import Any

import click

from command.account_profiles import check_own_profile, check_profile, knobs_in
from command.context import (
    actor,
    data_option,
    friendly_errors,
    json_option,
    print_json,
    with_store,
)
from command.provisioning import account_id
from command.table import print_line, print_table
from posthouse.profiles import Profile, knob_values, preset_names, resolve
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres

_account = click.option(
    "--account", default="default", show_default=True, metavar="NAME", help="Whose profile it is."
)


@click.group
def profile() -> None:
    """How mail of a user is treated: presets, and profiles of accounts made from them."""


@profile.command
@click.argument("name")
@click.option("--from", "preset", default="native", show_default=True, metavar="PRESET")
@click.option(
    "--set",
    "knobs",
    multiple=True,
    metavar="KNOB=VALUE",
    help="Repeatable; `posthouse profile show PRESET` lists all knobs. A list is in JSON.",
)
@_account
@data_option
def create(name: str, preset: str, knobs: tuple[str, ...], account: str) -> None:
    """Give the account the profile NAME: a preset with these knobs set.

    `posthouse credential create --profile NAME` uses it. Under a name that is in use it gets a new
    revision, which counts for mail from now on: knobs that are not given are those of the preset.
    """
    with friendly_errors():
        changed = knobs_in(knobs)
        preset_revision = check_own_profile(name, preset, changed)

    async def work(database: Postgres) -> int:
        accounts = AccountStore(database)
        return await accounts.create_profile(
            await account_id(accounts, account),
            name,
            preset=preset,
            preset_revision=preset_revision,
            knobs=changed,
            actor=actor(),
        )

    click.echo(f"{account} has the profile {name}, revision {with_store(work)}")


@profile.command("list")
@json_option
@data_option
def list_(*, as_json: bool) -> None:
    """List the presets, and the profiles of accounts with the knobs that they set."""

    async def work(database: Postgres) -> list[dict[str, Any]]:
        return [dict(row) for row in await AccountStore(database).own_profiles()]

    rows: list[dict[str, Any]] = [
        {"account": "", "name": name, "revision": resolve(name).revision, "preset": "", "knobs": {}}
        for name in preset_names()
    ]
    rows += [{k: v for k, v in row.items() if k != "account_id"} for row in with_store(work)]
    if as_json:
        print_json(rows)
        return
    shown = ("account", "name", "revision", "preset", "knobs")
    for row in rows:
        row["knobs"] = json.dumps(row["knobs"]) if row["knobs"] else ""
    table = [[str(row[column]) for column in shown] for row in rows]
    print_table(shown, table, empty="there is no profile")


@profile.command
@click.argument("name")
@click.option("--account", metavar="NAME", help="Whose profile it is; none for a preset.")
@json_option
@data_option
def show(name: str, account: str | None, *, as_json: bool) -> None:
    """Print every knob of a profile; with "*" those that differ from `native`."""
    found = _found(name, account)
    values, native = knob_values(found), knob_values(resolve("native"))
    if as_json:
        print_json(values)
        return
    width = max(map(len, values))
    for knob, value in values.items():
        mark = " " if value == native[knob] else "*"
        print_line(f"{mark} {knob:<{width}}  {json.dumps(value)}")


def _found(name: str, account: str | None) -> Profile:
    if account is None:
        with friendly_errors():
            return resolve(name)

    async def work(database: Postgres) -> Profile:
        accounts = AccountStore(database)
        return await check_profile(accounts, await account_id(accounts, account), name)

    return with_store(work)
