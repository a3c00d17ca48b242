"""What a domain has to publish, put together from the database and the settings."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from command.context import settings
from posthouse.domains.setup_records import DomainSetup, PublishedKey, Record, RelayHosts
from posthouse.mail.dkim_key import Algorithm
from posthouse.mail.selectors import slots
from posthouse.profiles.choices import Onboarding
from posthouse.store.postgres import Postgres
from posthouse.store.relay_names import RelayName, RelayNames, relay_names
from posthouse.store.tracking_hosts import state_of


async def names_of_relay(database: Postgres) -> RelayNames:
    """What the running relay calls itself; before it ever ran, what our settings say."""
    found = await relay_names(database)
    return found or RelayNames((RelayName("settings", settings().hostname.lower()),))


async def relay_hosts(database: Postgres) -> RelayHosts:
    """The names of ours for records; says so where programs of the relay disagree."""
    names, told = await names_of_relay(database), settings()
    if names.differing:
        click.echo(
            f"warning: programs of this relay have different names: {names.differing}; give all "
            "the same POSTHOUSE_HOSTNAME",
            err=True,
        )
    return RelayHosts(
        sending=names.sending,
        receiving=names.receiving,
        return_path_host=names.return_path_host,
        spf_include=told.spf_include,
        nameservers=told.zone_nameservers,
        tracking_host=names.tracking_host,
    )


def setup_of(rows: Sequence[Any], relay: RelayHosts) -> DomainSetup:
    """The domain that *rows* (one a key) are about."""
    first = rows[0]
    keys = tuple(
        PublishedKey(r["selector"], r["algorithm"], r["record"], r["state"])
        for r in rows
        if r["selector"] is not None
    )
    kinds = [kind for kind in Algorithm if any(key.algorithm == kind for key in keys)]
    return DomainSetup(
        name=first["name"],
        onboarding=Onboarding(first["onboarding"]),
        keys=keys,
        slots=tuple(name for kind in kinds for name in slots(kind)),
        key_zone=first["key_zone"],
        return_path_host=first["return_path_host"],
        relay=relay,
        tracking=state_of(first),
    )


def as_json(record: Record) -> dict[str, Any]:
    """A record for a program, with its line of a zone file."""
    return {**asdict(record), "zone_line": record.zone_line}


def print_records(records: Sequence[Record], relay: RelayHosts, *, form: str = "zone") -> None:
    """Print *records*, as lines of a zone file or (*form* "web") as a form asks for them."""
    for host in dict.fromkeys((relay.sending, relay.receiving)):
        if "." not in host:
            click.echo(
                f"; {host} is no public host name: set POSTHOUSE_HOSTNAME to the relay's own"
            )
    for record in records:
        if form == "zone":
            click.echo(f"; {record.why}\n{record.zone_line}")
        else:
            click.echo("\n".join((f"# {record.why}", *record.form_lines, "")))
