"""`posthouse domain keys`: the DKIM keys of a domain, and how one takes the place of another."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from command.context import (
    data_option,
    friendly_errors,
    json_option,
    print_json,
    settings,
    with_secret_key,
    with_store,
)
from command.dns_records import key_record, print_records
from command.provisioning import add_keys, change_key_state, domain_keys, domain_name
from command.table import print_table
from posthouse.mail.dkim_key import Algorithm
from posthouse.store.accounts import AccountStore, KeyState, NewKey
from posthouse.store.postgres import Postgres

_ALGORITHMS = {"rsa": Algorithm.RSA, "ed25519": Algorithm.ED25519}


@click.group
def keys() -> None:
    r"""DKIM keys of a domain: published first, then active (they sign), then retired.

    \b
    A rotation: posthouse domain keys add example.com
                publish the records, and wait a day
                posthouse domain keys activate example.com NEW-SELECTOR
                posthouse domain keys retire example.com OLD-SELECTOR
                remove the old record a week later
    """


@keys.command("list")
@click.argument("name")
@json_option
@data_option
def list_(name: str, *, as_json: bool) -> None:
    """List the keys of the domain NAME with their states."""
    with friendly_errors():
        name = domain_name(name)
    rows = with_store(lambda database: domain_keys(AccountStore(database), name))
    found = [
        {key: row[key] for key in ("selector", "algorithm", "state", "since", "record")}
        for row in rows
    ]
    if as_json:
        print_json(found)
        return
    print_table(
        ("selector", "algorithm", "state", "since"),
        [
            (key["selector"], key["algorithm"], key["state"], f"{key['since']:%Y-%m-%d %H:%M}")
            for key in found
        ],
        empty=f"{name} has no keys: its mail is not signed",
    )


@keys.command
@click.argument("name")
@click.option(
    "--algorithm",
    type=click.Choice([*_ALGORITHMS]),
    help="Default: one key of each.",
)
@json_option
@data_option
def add(name: str, algorithm: str | None, *, as_json: bool) -> None:
    """Make new keys for the domain NAME, which do not sign yet, and print their records."""
    with friendly_errors():
        name = domain_name(name)
    algorithms = tuple(Algorithm) if algorithm is None else (_ALGORITHMS[algorithm],)

    async def work(database: Postgres, key: bytes) -> tuple[NewKey, ...]:
        today = datetime.now(UTC).date()
        return await add_keys(AccountStore(database), name, key, algorithms=algorithms, today=today)

    made = with_secret_key(work)
    records = [key_record(name, new.selector, new.record, KeyState.PUBLISHED) for new in made]
    if as_json:
        shown: list[dict[str, Any]] = [asdict(record) for record in records]
        print_json({"name": name, "selectors": [k.selector for k in made], "records": shown})
        return
    print_records(records, settings().hostname)
    for new in made:
        click.echo(f"; once it is in DNS: posthouse domain keys activate {name} {new.selector}")


@keys.command
@click.argument("name")
@click.argument("selector")
@data_option
def activate(name: str, selector: str) -> None:
    """Sign with the key SELECTOR from now on. Its record must be in DNS: that is not asked."""
    _change(name, selector, KeyState.ACTIVE)
    click.echo(f"{selector} signs mail of {name} within ten seconds, beside other active keys")


@keys.command
@click.argument("name")
@click.argument("selector")
@data_option
def retire(name: str, selector: str) -> None:
    """Sign with the key SELECTOR no more. Refused for the last key that signs."""
    _change(name, selector, KeyState.RETIRED)
    click.echo(
        f"{selector} signs no mail of {name} after ten seconds; leave its record in DNS for a "
        "week, until mail that it signed has arrived"
    )


def _change(name: str, selector: str, state: KeyState) -> None:
    with friendly_errors():
        name = domain_name(name)
    with_store(lambda database: change_key_state(AccountStore(database), name, selector, state))
