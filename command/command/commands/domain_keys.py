"""`posthouse domain keys`: the DKIM keys of a domain, and how one takes the place of another."""

from datetime import UTC, datetime
from typing import Any

import click

from command.context import (
    actor,
    data_option,
    friendly_errors,
    json_option,
    print_json,
    with_secret_key,
    with_store,
)
from command.domain_setup import as_json as record_as_json
from command.domain_setup import print_records, relay_hosts, setup_of
from command.key_provisioning import (
    add_keys,
    change_key_state,
    domain_keys,
    domain_of,
    remove_key,
    start_rotation,
)
from command.provisioning import domain_name
from command.table import print_line, print_table
from posthouse.domains.setup_records import DomainSetup, key_record
from posthouse.mail.dkim_key import Algorithm
from posthouse.profiles.choices import Onboarding
from posthouse.store.accounts import AccountStore, KeyState
from posthouse.store.key_rotations import KeyRotations
from posthouse.store.postgres import Postgres

_ALGORITHMS = {"rsa": Algorithm.RSA, "ed25519": Algorithm.ED25519}


@click.group
def keys() -> None:
    r"""DKIM keys of a domain: published first, then active (they sign), then retired.

    \b
    A rotation: posthouse domain keys rotate example.com
                publish the records that it prints; the relay does the rest
    """


@keys.command("list")
@click.argument("name")
@json_option
@data_option
def list_(name: str, *, as_json: bool) -> None:
    """List the keys of the domain NAME with their states, and the rotation that is under way."""
    with friendly_errors():
        name = domain_name(name)

    async def work(database: Postgres) -> tuple[list[Any], Any | None]:
        return (
            await domain_keys(AccountStore(database), name),
            await KeyRotations(database).read(name),
        )

    rows, rotation = with_store(work)
    if as_json:
        kept = ("selector", "algorithm", "state", "since", "record")
        found = [{key: row[key] for key in kept} for row in rows]
        print_json({"keys": found, "rotation": None if rotation is None else dict(rotation)})
        return
    print_table(
        ("selector", "algorithm", "state", "since"),
        [
            (row["selector"], row["algorithm"], row["state"], f"{row['since']:%Y-%m-%d %H:%M}")
            for row in rows
        ],
        empty=f"{name} has no keys: its mail is not signed",
    )
    if rows and rows[0]["rotate_days"]:
        print_line(f"new keys are made every {rows[0]['rotate_days']} days")
    if rotation is not None:
        print_line(_story(rotation))


def _story(rotation: Any) -> str:
    new = " and ".join(rotation["selectors"])
    if rotation["switched_at"] is not None:
        old = " and ".join(rotation["retired"]) or "no key"
        return (
            f"rotation: {new} signs since {rotation['switched_at']:%Y-%m-%d %H:%M}; {old} is "
            "removed a week later, when no mail that it signed is left"
        )
    if rotation["seen_at"] is not None:
        return (
            f"rotation: {new} is in DNS since {rotation['seen_at']:%Y-%m-%d %H:%M}, and signs soon"
        )
    why = rotation["finding"] or "DNS was not asked yet"
    return f"rotation: waits since {rotation['started_at']:%Y-%m-%d %H:%M} for {new} in DNS: {why}"


@keys.command
@click.argument("name")
@json_option
@data_option
def rotate(name: str, *, as_json: bool) -> None:
    """Replace the keys of the domain NAME: new ones are made now, and sign when DNS has them.

    The relay looks for their records, lets the new keys sign an hour after it found them, and
    removes the old ones a week later. `posthouse domain keys list` says how far it is.
    """
    with friendly_errors():
        name = domain_name(name)

    async def work(database: Postgres, key: bytes) -> tuple[DomainSetup, tuple[str, ...]]:
        accounts = AccountStore(database)
        await domain_of(accounts, name)
        made = await start_rotation(database, name, key, actor())
        setup = setup_of(await domain_of(accounts, name), await relay_hosts(database))
        return setup, made

    setup, selectors = with_secret_key(work)
    _show_new(setup, selectors, as_json=as_json)
    if not as_json:
        click.echo("; the relay looks for them, and lets the keys sign when DNS has them")


def _show_new(setup: DomainSetup, selectors: tuple[str, ...], *, as_json: bool) -> None:
    records = [key_record(setup, key) for key in setup.keys if key.selector in selectors]
    if as_json:
        shown = [record_as_json(record) for record in records]
        print_json({"name": setup.name, "selectors": selectors, "records": shown})
        return
    if setup.key_zone is not None or setup.onboarding is Onboarding.DELEGATION:
        click.echo("; In your own zone: the owner of the domain changes nothing")
    print_records(records, setup.relay)


@keys.command
@click.argument("name")
@click.option("--days", type=click.IntRange(min=1), help="Age of keys that are replaced.")
@click.option("--off", is_flag=True, help="No rotation starts by itself.")
@data_option
def schedule(name: str, days: int | None, *, off: bool) -> None:
    """Let rotations of the domain NAME start by themselves."""
    if off == (days is not None):
        raise click.UsageError("say either --days N or --off")
    with friendly_errors():
        name = domain_name(name)

    async def work(database: Postgres) -> None:
        await domain_of(AccountStore(database), name)
        await KeyRotations(database).schedule(name, days)

    with_store(work)
    click.echo(f"keys of {name} change {'by command only' if off else f'every {days} days'}")


@keys.command
@click.argument("name")
@click.argument("selector")
@data_option
def remove(name: str, selector: str) -> None:
    """Delete the key SELECTOR, which does not sign, and wait for its record no more."""
    with friendly_errors():
        name = domain_name(name)
    with_store(lambda database: remove_key(database, name, selector, actor()))
    click.echo(f"{selector} of {name} is deleted; its record may be removed from DNS")


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

    async def work(database: Postgres, key: bytes) -> tuple[DomainSetup, tuple[str, ...]]:
        today, accounts = datetime.now(UTC).date(), AccountStore(database)
        made = await add_keys(accounts, name, key, algorithms=algorithms, today=today)
        setup = setup_of(await domain_of(accounts, name), await relay_hosts(database))
        return setup, tuple(new.selector for new in made)

    setup, selectors = with_secret_key(work)
    _show_new(setup, selectors, as_json=as_json)
    if as_json:
        return
    for selector in selectors:
        click.echo(f"; once it is in DNS: posthouse domain keys activate {name} {selector}")


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
    who = actor()
    with_store(
        lambda database: change_key_state(AccountStore(database), name, selector, state, who)
    )
