"""`posthouse domain tracking`: the host that links in mail of a domain lead to."""

from typing import Any

import click

from command.context import (
    actor,
    data_option,
    friendly_errors,
    json_option,
    print_json,
    with_store,
)
from command.domain_setup import print_records, relay_hosts, setup_of
from command.key_provisioning import domain_of
from command.provisioning import domain_name
from command.table import print_line
from posthouse.domains.setup_records import DomainSetup, tracking_records
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres
from posthouse.store.tracking_hosts import TrackingHosts


@click.command
@click.argument("name")
@click.option(
    "--host", metavar="HOST", help="A host below the domain, for a CNAME record that leads here."
)
@click.option("--none", "no_host", is_flag=True, help="Links lead to the relay's own host again.")
@json_option
@data_option
def tracking(name: str, host: str | None, *, no_host: bool, as_json: bool) -> None:
    """Let tracked links in mail of the domain NAME lead to a host of its own; or show it.

    The relay probes the host every two minutes. It is used while it leads here over HTTPS with a
    certificate that counts; otherwise links lead to the relay's own tracking host.
    """
    if host is not None and no_host:
        raise click.UsageError("--host and --none exclude each other")
    with friendly_errors():
        name = domain_name(name)
        host = None if host is None else domain_name(host)

    async def work(database: Postgres) -> DomainSetup:
        setup = await _setup(database, name)
        if host is not None:
            _check_host(setup, host)
        if host is not None or no_host:
            await TrackingHosts(database).set(name, host, actor())
        return await _setup(database, name)

    _show(with_store(work), as_json=as_json)


async def _setup(database: Postgres, name: str) -> DomainSetup:
    return setup_of(await domain_of(AccountStore(database), name), await relay_hosts(database))


def _check_host(setup: DomainSetup, host: str) -> None:
    if setup.relay.tracking_host is None:
        raise click.ClickException(
            "the relay has no tracking host that it could lead to: set POSTHOUSE_TRACKING_URL of "
            "policy, and start it"
        )
    if not host.endswith(f".{setup.name}"):
        raise click.ClickException(f"{host} is no name below {setup.name}")
    # Beside a CNAME record no other may lie (RFC 1034 section 3.6.2).
    if host == setup.return_path_host:
        raise click.ClickException(f"{host} takes returned mail, so it cannot have a CNAME record")


def _show(setup: DomainSetup, *, as_json: bool) -> None:
    own = setup.tracking
    if as_json:
        found: dict[str, Any] = {"name": setup.name, "tracking_host": None}
        if own is not None:
            found |= {"tracking_host": own.host, "tracking_trouble": own.trouble or None}
        print_json(found)
    elif own is None:
        print_line(f"{setup.name} has no tracking host of its own")
    elif not own.trouble:
        print_line(f"tracked links of {setup.name} lead to https://{own.host}")
    else:
        print_line(f"{own.host} is not used: {own.trouble}")
        print_records(tuple(tracking_records(setup)), setup.relay)


def host_text(host: str | None, trouble: str | None) -> str:
    """A tracking host in a table."""
    if host is None:
        return "the relay"
    return f"{host} (not used)" if trouble else host
