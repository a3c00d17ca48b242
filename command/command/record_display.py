"""The records of a domain as the operator hands them to its owner: zone file, form, JSON."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import click

from command.context import json_option, print_json, settings
from command.domain_setup import as_json as record_as_json
from command.domain_setup import print_records, relay_hosts, setup_of
from command.provisioning import domain_rows
from posthouse.domains.setup_records import (
    GOOGLE_SPF,
    DomainSetup,
    Record,
    RelayHosts,
    own_records,
    records_for,
    zone_file,
)
from posthouse.domains.spf_record import is_spf, merge_spf
from posthouse.mail.dns_answer import LookupFailed, values_of
from posthouse.profiles.choices import Onboarding
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres

P = ParamSpec("P")
T = TypeVar("T")

_PATIENCE = 4.0  # seconds for the look at what the domain has now

account_option = click.option("--account", default="default", show_default=True, metavar="NAME")


def show_options(command: Callable[P, T]) -> Callable[P, T]:
    """Let a command take what changes how records are shown."""
    for option in (
        json_option,
        click.option(
            "--form",
            type=click.Choice(["zone", "web"]),
            default="zone",
            show_default=True,
            help="Lines of a zone file, or the fields of a web form.",
        ),
        click.option(
            "--google-workspace",
            is_flag=True,
            help="The domain's own mail leaves through Google: its SPF record names both.",
        ),
        click.option(
            "--published-spf",
            multiple=True,
            metavar="TEXT",
            help='The SPF record that the domain has now, to merge into: "v=spf1 ...", or "" if it '
            "has none. Default: DNS is asked.",
        ),
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Asked:
    """How to show the records of a domain, and what it publishes now."""

    name: str
    relay: RelayHosts
    form: str
    as_json: bool
    published_spf: tuple[str, ...]
    permissions: tuple[str, ...]
    note: str  # about the look into DNS; "" for nothing to say

    async def of(self, database: Postgres, account: str) -> "Shown":
        """The records, as the database has the domain. Raises NoDomain, UnusableSpf."""
        rows = await domain_rows(AccountStore(database), account, self.name)
        setup = setup_of(rows, self.relay)
        wanted = records_for(setup, self.published_spf, *self.permissions)
        return Shown(self, account, setup, wanted, verified=rows[0]["verified_at"] is not None)


@dataclass(frozen=True, slots=True)
class Shown:
    """The records of a domain that is there."""

    asked: Asked
    account: str
    setup: DomainSetup
    records: tuple[Record, ...]
    verified: bool

    @property
    def zone(self) -> str:
        """What the operator's own name servers need: "" if nothing."""
        if self.setup.onboarding is Onboarding.DELEGATION:
            return zone_file(self.setup, int(time.time()), *self.asked.permissions)
        return "\n".join(record.zone_line for record in own_records(self.setup))


async def asked(
    database: Postgres,
    name: str,
    *,
    delegated: bool,
    published_spf: tuple[str, ...],
    google_workspace: bool,
    form: str,
    as_json: bool,
) -> Asked:
    """Look up what *name* publishes now, if that was not said.

    Raises UnusableSpf before anything is made, if no SPF record of ours can be merged with it.
    """
    permissions = (GOOGLE_SPF,) if google_workspace else ()
    found, note = published_spf, ""
    if not published_spf and not delegated:
        found, note = await _published(name)
    relay = await relay_hosts(database)
    merge_spf(found, *permissions, relay.permission)
    return Asked(name, relay, form, as_json, found, permissions, note)


async def _published(name: str) -> tuple[tuple[str, ...], str]:
    from posthouse.dns.resolver import DnsClient  # noqa: PLC0415 -- other commands ask nobody

    answer = await DnsClient(settings().nameservers, timeout=_PATIENCE).ask(name, "TXT")
    if isinstance(answer, LookupFailed):
        return (), (
            f"DNS did not say whether {name} has an SPF record ({answer.reason}). If it has one, "
            "say so: --published-spf 'v=spf1 ...'"
        )
    return tuple(filter(is_spf, values_of(answer))), ""


def show(shown: Shown) -> None:
    """Print *shown*."""
    if shown.asked.as_json:
        print_json(shown_as_json(shown))
        return
    setup = shown.setup
    state = "verified" if shown.verified else "NOT verified: it may not send yet"
    click.echo(f"; {setup.name} of the account {shown.account}: {state}")
    if shown.asked.note:
        click.echo(f"; {shown.asked.note}")
    print_records(shown.records, setup.relay, form=shown.asked.form)
    if setup.return_path_host is None:
        click.echo("; Returned mail comes to the relay's own host: SPF passes without aligning.")
    if shown.zone:
        click.echo(f"\n; For your own name servers:\n{shown.zone}")
    if not shown.verified:
        click.echo(f"; When they are published: posthouse domain check {setup.name}")


def shown_as_json(shown: Shown) -> dict[str, Any]:
    """*shown* for a program."""
    setup = shown.setup
    return {
        "account": shown.account,
        "name": setup.name,
        "verified": shown.verified,
        "onboarding": setup.onboarding.value,
        "return_path_host": setup.return_path_host,
        "note": shown.asked.note or None,
        "records": [record_as_json(record) for record in shown.records],
        "zone": shown.zone or None,
    }
