"""The records of a sending domain, for people."""

from collections.abc import Sequence
from typing import Any

import click

from onebox.dns_records import Record, records_for


def records_of(
    rows: Sequence[Any], relay: str, published_spf: Sequence[str] = ()
) -> tuple[Record, ...]:
    """What to publish for the domain that *rows* (one a key) are about; raises UnusableSpf."""
    keys = [(row["selector"], row["record"]) for row in rows if row["selector"] is not None]
    return records_for(
        rows[0]["name"],
        relay=relay,
        dkim=keys,
        return_path_host=rows[0]["return_path_host"],
        published_spf=published_spf,
    )


def print_records(records: Sequence[Record], relay: str) -> None:
    """Print *records*, which name the host *relay*, as lines of a zone file."""
    if "." not in relay:
        click.echo(f"; {relay} is no name for the world: set POSTHOUSE_HOSTNAME to the relay's own")
    for record in records:
        click.echo(f"; {record.why}\n{record.zone_line}")
