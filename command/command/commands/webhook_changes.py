"""`posthouse webhook edit`, `remove`, `pause`, `resume` and `rotate`."""

import os
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import click

from command.context import actor, data_option, with_secret_key, with_store
from command.webhook_choices import (
    dialect_option,
    endpoint,
    endpoint_argument,
    fields_given,
    sealed,
    term_options,
    url_given,
)
from posthouse.mail.moment_text import UnreadableMoment, age_in
from posthouse.store.postgres import Postgres
from posthouse.store.webhook_endpoints import TermChanges, WebhookStore
from posthouse.webhooks.webhook_signature import SECRET_OCTETS, secret_text


@click.command
@endpoint_argument
@click.option("--url", callback=url_given, help="Where requests go.")
@dialect_option
@term_options
@click.option("--no-headers", is_flag=True, help="Without the fields that were set.")
@click.option("--all-kinds", is_flag=True, help="Events of all kinds.")
@click.option("--all-streams", is_flag=True, help="Mail of all streams, and of none.")
@data_option
def edit(
    *,
    id_: UUID,
    fields: Sequence[str],
    basic_auth: str | None,
    no_headers: bool,
    all_kinds: bool,
    all_streams: bool,
    kinds: Sequence[str],
    streams: Sequence[str],
    **terms: Any,
) -> None:
    """Change what is given of an endpoint. Events that wait already are sent as they are.

    Header fields that are given take the place of all that there were.
    """
    named = fields_given(fields, basic_auth)

    async def work(database: Postgres, key: bytes) -> None:
        changes = TermChanges(
            **terms,
            kinds=() if all_kinds else kinds or None,
            streams=() if all_streams else streams or None,
            sealed_fields=named and sealed(named, key),
            has_new_fields=no_headers or named is not None,
        )
        await WebhookStore(database).change(await endpoint(database, id_), changes, actor())

    with_secret_key(work)
    click.echo(f"changed the endpoint {id_.hex}")


@click.command
@endpoint_argument
@data_option
def remove(id_: UUID) -> None:
    """Remove an endpoint, with the events that wait for it."""

    async def work(database: Postgres) -> None:
        await WebhookStore(database).remove(await endpoint(database, id_), actor())

    with_store(work)
    click.echo(f"removed the endpoint {id_.hex}")


@click.command
@endpoint_argument
@click.option("--reason", default="by an operator", metavar="TEXT", show_default=True)
@data_option
def pause(id_: UUID, reason: str) -> None:
    """Send nothing to an endpoint. Events wait for it, for seven days."""

    async def work(database: Postgres) -> bool:
        return await WebhookStore(database).pause(await endpoint(database, id_), reason, actor())

    done = with_store(work)
    click.echo(f"{id_.hex} is paused" if done else f"{id_.hex} was paused already")


@click.command
@endpoint_argument
@data_option
def resume(id_: UUID) -> None:
    """Send to an endpoint that is paused, or fails, at once."""

    async def work(database: Postgres) -> bool:
        return await WebhookStore(database).resume(await endpoint(database, id_), actor())

    done = with_store(work)
    click.echo(f"{id_.hex} is tried at once" if done else f"{id_.hex} works")


@click.command
@endpoint_argument
@click.option("--keep", default="24h", show_default=True, metavar="TIME", help="See above.")
@data_option
def rotate(id_: UUID, keep: str) -> None:
    """Make another secret and print it. The one before signs beside it for --keep."""
    try:
        kept = age_in(keep)
    except UnreadableMoment as error:
        raise click.BadParameter(str(error)) from error
    secret = os.urandom(SECRET_OCTETS)

    async def work(database: Postgres, key: bytes) -> None:
        found = await endpoint(database, id_)
        await WebhookStore(database).rotate(found, sealed(secret, key), kept, actor())

    with_secret_key(work)
    click.echo(f"the endpoint {id_.hex} has the secret {secret_text(secret)}")
