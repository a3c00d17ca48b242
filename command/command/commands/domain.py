"""`posthouse domain`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import click

from command.account_profiles import onboarding_of
from command.commands.checking_domains import check
from command.commands.domain_keys import keys
from command.commands.domain_records import records
from command.commands.domain_tracking import host_text, tracking
from command.context import (
    actor,
    data_option,
    friendly_errors,
    json_option,
    print_json,
    settings,
    with_secret_key,
    with_store,
)
from command.provisioning import (
    DomainWay,
    add_domain,
    domain_name,
    domain_rows,
    ensure_account,
    share_domain,
)
from command.record_display import Shown, account_option, asked, show, show_options
from command.table import print_table
from posthouse.mail.dkim_key import Algorithm
from posthouse.profiles.choices import Onboarding
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres
from posthouse.store.tracking_hosts import state_of


@click.group
def domain() -> None:
    """Domains that an account may send as."""


domain.add_command(keys)
domain.add_command(records)
domain.add_command(check)
domain.add_command(tracking)


@domain.command
@click.argument("name")
@account_option
@click.option(
    "--onboarding",
    type=click.Choice([mode.value for mode in Onboarding]),
    help="What it has to show before it may send: records of its zone, a delegation to our name "
    "servers, or nothing (trusted). Default: as the profiles of the account's users say, else "
    "records.",
)
@click.option(
    "--return-path-host",
    metavar="HOST",
    help="Host under the domain that returned mail comes to, so that SPF aligns. Default: none, "
    "and of a delegated domain the domain itself.",
)
@click.option(
    "--dkim",
    type=click.Choice(["txt", "cname"]),
    default="txt",
    show_default=True,
    help="cname: the records lead to POSTHOUSE_KEY_ZONE, and keys change without the owner.",
)
@click.option("--no-ed25519", is_flag=True, help="Sign with RSA only.")
@show_options
@data_option
def add(
    name: str,
    account: str,
    onboarding: str | None,
    return_path_host: str | None,
    dkim: str,
    *,
    no_ed25519: bool,
    **options: Any,
) -> None:
    """Add the domain NAME with new DKIM keys and print the records to publish.

    It may send when `posthouse domain check` finds them, or at once if it is trusted.
    """
    with friendly_errors():
        name = domain_name(name)
        host = None if return_path_host is None else domain_name(return_path_host)
    mode = None if onboarding is None else Onboarding(onboarding)
    algorithms = (Algorithm.RSA,) if no_ed25519 else tuple(Algorithm)
    wanted = _WantedDomain(name, account, mode, host, _key_zone(dkim), algorithms)
    show(with_secret_key(lambda database, key: _add(database, key, wanted, options)))


@dataclass(frozen=True, slots=True)
class _WantedDomain:
    name: str
    account: str
    onboarding: Onboarding | None
    return_path_host: str | None
    key_zone: str | None
    algorithms: tuple[Algorithm, ...]


async def _add(
    database: Postgres, key: bytes, wanted: _WantedDomain, options: Mapping[str, Any]
) -> Shown:
    accounts, name = AccountStore(database), wanted.name
    mode = _possible(wanted.onboarding or await onboarding_of(accounts, wanted.account))
    delegated = mode is Onboarding.DELEGATION
    way = DomainWay(
        onboarding=mode,
        key_zone=None if delegated else wanted.key_zone,
        return_path_host=wanted.return_path_host or (name if delegated else None),
    )
    before = await asked(database, name, delegated=delegated, **options)
    await add_domain(
        accounts,
        await ensure_account(accounts, wanted.account),
        name,
        key,
        algorithms=wanted.algorithms,
        today=datetime.now(UTC).date(),
        way=way,
        actor=actor(),
    )
    return await before.of(database, wanted.account)


def _key_zone(dkim: str) -> str | None:
    if dkim == "txt":
        return None
    if (zone := settings().key_zone) is None:
        raise click.ClickException(
            "--dkim cname needs POSTHOUSE_KEY_ZONE: a zone of yours that will hold the keys"
        )
    return zone


def _possible(mode: Onboarding) -> Onboarding:
    if mode is Onboarding.DELEGATION and not settings().zone_nameservers:
        raise click.ClickException(
            "a delegation needs POSTHOUSE_ZONE_NAMESERVERS: the names of your name servers"
        )
    return mode


@domain.command
@click.argument("name")
@click.option("--account", required=True, metavar="NAME", help="The account that may use it too.")
@data_option
def share(name: str, account: str) -> None:
    """Let one more account send as the domain NAME of another one, with the same DKIM keys."""
    with friendly_errors():
        name = domain_name(name)

    async def work(database: Postgres) -> None:
        accounts = AccountStore(database)
        await share_domain(accounts, await ensure_account(accounts, account), name, actor())

    with_store(work)
    click.echo(f"{account} may send as {name} too, with the keys that the domain has")


@domain.command("list")
@json_option
@data_option
def list_(*, as_json: bool) -> None:
    """List all sending domains with their keys."""

    async def work(database: Postgres) -> list[dict[str, Any]]:
        return [dict(row) for row in await AccountStore(database).sending_domains()]

    found = [_summary(list(rows)) for _, rows in groupby(with_store(work), key=_of_account)]
    if as_json:
        print_json(found)
    else:
        _print_domains(found)


def _print_domains(found: list[dict[str, Any]]) -> None:
    titles = ("account", "domain", "verified", "onboarding", "returned mail to", "links to")
    print_table(
        (*titles, "selectors"),
        [
            (
                domain["account"],
                domain["name"],
                "yes" if domain["verified_at"] else "no",
                domain["onboarding"],
                domain["return_path_host"] or "the relay",
                host_text(domain["tracking_host"], domain["tracking_trouble"]),
                " ".join(domain["selectors"]),
            )
            for domain in found
        ],
        empty="there are no sending domains; add one with `posthouse domain add`",
    )


def _of_account(row: dict[str, Any]) -> tuple[str, str]:
    return row["account"], row["name"]


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A domain of one account, from a row for each of its keys."""
    kept = ("account", "name", "verified_at", "onboarding", "return_path_host")
    domain = {name: rows[0][name] for name in kept}
    state = state_of(rows[0])
    domain["tracking_host"] = None if state is None else state.host
    domain["tracking_trouble"] = None if state is None else state.trouble or None
    return {**domain, "selectors": [row["selector"] for row in rows if row["selector"]]}


@domain.command
@click.argument("name")
@account_option
@data_option
def verify(name: str, account: str) -> None:
    """Let the account send as NAME on your word. `posthouse domain check` asks DNS first."""
    with friendly_errors():
        name = domain_name(name)

    async def work(database: Postgres) -> None:
        accounts = AccountStore(database)
        await domain_rows(accounts, account, name)
        owner = await accounts.account(account)
        assert owner is not None
        await accounts.verify_sending_domain(owner, name, actor())

    with_store(work)
    click.echo(f"{account} may send as {name}; DNS was not asked")
