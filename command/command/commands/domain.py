"""`posthouse domain`."""

from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import click

from command.commands.domain_keys import keys
from command.context import (
    data_option,
    friendly_errors,
    json_option,
    print_json,
    settings,
    with_secret_key,
    with_store,
)
from command.dns_records import print_records, records_of
from command.provisioning import add_domain, domain_name, domain_rows, ensure_account, share_domain
from command.table import print_table
from posthouse.mail.dkim_key import Algorithm
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres

account_option = click.option("--account", default="default", show_default=True, metavar="NAME")
spf_option = click.option(
    "--published-spf",
    multiple=True,
    metavar="TEXT",
    help='The SPF record that the domain has now, to merge into: "v=spf1 ...".',
)


@click.group
def domain() -> None:
    """Domains that an account may send as."""


domain.add_command(keys)


@domain.command
@click.argument("name")
@account_option
@click.option(
    "--return-path-host",
    metavar="HOST",
    help="Host under the domain that returned mail comes to, so that SPF aligns.",
)
@click.option("--unverified", is_flag=True, help="No account may send as it yet.")
@click.option("--no-ed25519", is_flag=True, help="Sign with RSA only.")
@spf_option
@json_option
@data_option
def add(
    name: str,
    account: str,
    return_path_host: str | None,
    published_spf: tuple[str, ...],
    *,
    unverified: bool,
    no_ed25519: bool,
    as_json: bool,
) -> None:
    """Add the domain NAME with new DKIM keys and print the records to publish."""
    with friendly_errors():
        name = domain_name(name)
        host = None if return_path_host is None else domain_name(return_path_host)
    algorithms = (Algorithm.RSA,) if no_ed25519 else tuple(Algorithm)

    async def work(database: Postgres, key: bytes) -> None:
        accounts = AccountStore(database)
        await add_domain(
            accounts,
            await ensure_account(accounts, account),
            name,
            key,
            algorithms=algorithms,
            return_path_host=host,
            verified=not unverified,
            today=datetime.now(UTC).date(),
        )

    with_secret_key(work)
    _show_domain(account, name, published_spf, as_json=as_json)


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
        await share_domain(accounts, await ensure_account(accounts, account), name)

    with_store(work)
    click.echo(f"{account} may send as {name} too, with the keys that the domain has")


@domain.command
@click.argument("name")
@account_option
@spf_option
@json_option
@data_option
def records(name: str, account: str, published_spf: tuple[str, ...], *, as_json: bool) -> None:
    """Print the records to publish for the domain NAME."""
    with friendly_errors():
        name = domain_name(name)
    _show_domain(account, name, published_spf, as_json=as_json)


def _show_domain(account: str, name: str, published_spf: tuple[str, ...], *, as_json: bool) -> None:
    rows = with_store(lambda database: domain_rows(AccountStore(database), account, name))
    relay = settings().hostname
    with friendly_errors():
        wanted = records_of(rows, relay, published_spf)
    verified = rows[0]["verified_at"] is not None
    if as_json:
        print_json(
            {
                "account": account,
                "name": name,
                "verified": verified,
                "return_path_host": rows[0]["return_path_host"],
                "records": [asdict(record) for record in wanted],
            }
        )
        return
    click.echo(f"; {name} of the account {account}: {'verified' if verified else 'NOT verified'}")
    print_records(wanted, relay)
    if rows[0]["return_path_host"] is None:
        click.echo("; Returned mail comes to the relay's own host: SPF passes without aligning.")


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
        return
    print_table(
        ("account", "domain", "verified", "returned mail to", "selectors"),
        [
            (
                domain["account"],
                domain["name"],
                "yes" if domain["verified_at"] else "no",
                domain["return_path_host"] or "the relay",
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
    domain = {
        name: rows[0][name] for name in ("account", "name", "verified_at", "return_path_host")
    }
    return {**domain, "selectors": [row["selector"] for row in rows if row["selector"]]}


@domain.command
@click.argument("name")
@account_option
@data_option
def verify(name: str, account: str) -> None:
    """Let the account send as NAME. You decide: DNS is not asked yet."""
    with friendly_errors():
        name = domain_name(name)

    async def work(database: Postgres) -> None:
        accounts = AccountStore(database)
        await domain_rows(accounts, account, name)
        owner = await accounts.account(account)
        assert owner is not None
        await accounts.verify_sending_domain(owner, name)

    with_store(work)
    click.echo(f"{account} may send as {name}; DNS was not asked")
