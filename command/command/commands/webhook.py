"""`posthouse webhook`: endpoints, made, changed and shown."""

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import click

from command.commands.suppression_files import account_option
from command.commands.webhook_changes import edit, pause, remove, resume, rotate
from command.commands.webhook_telling import deliveries, replay, test
from command.context import (
    actor,
    data_option,
    json_option,
    print_json,
    with_secret_key,
    with_store,
)
from command.provisioning import account_id
from command.table import print_line, print_table
from command.webhook_choices import (
    dialect_option,
    endpoint,
    endpoint_argument,
    fields_given,
    sealed,
    term_options,
    url_given,
)
from posthouse.store.accounts import AccountStore
from posthouse.store.postgres import Postgres
from posthouse.store.webhook_endpoints import (
    WebhookEndpoint,
    WebhookStore,
    WebhookTerms,
)
from posthouse.webhooks.dialects import DIALECTS
from posthouse.webhooks.webhook_signature import SECRET_OCTETS, secret_text


@click.group
def webhook() -> None:
    """Endpoints of accounts that are told of events over HTTP (docs/webhooks.md)."""


for _command in (edit, remove, pause, resume, rotate, test, replay, deliveries):
    webhook.add_command(_command)


@webhook.command
@click.argument("url", callback=url_given)
@dialect_option
@term_options
@account_option
@json_option
@data_option
def add(
    *,
    dialect: str | None,
    gather: timedelta | None,
    note: str | None,
    fields: Sequence[str],
    basic_auth: str | None,
    account: str,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Tell URL of what happens from now on, and print the secret that signs: it is shown once."""
    form = dialect or "native"
    wait = DIALECTS[form].gather if gather is None else gather
    terms = WebhookTerms(dialect=form, gather=wait, note=note or "", **chosen)
    named = fields_given(fields, basic_auth)
    secret = os.urandom(SECRET_OCTETS)

    async def work(database: Postgres, key: bytes) -> UUID:
        owner = await account_id(AccountStore(database), account)
        return await WebhookStore(database).create(
            *(owner, terms, sealed(secret, key), named and sealed(named, key)), actor=actor()
        )

    made = with_secret_key(work).hex
    if as_json:
        print_json({"id": made, "secret": secret_text(secret)})
        return
    click.echo(f"added the endpoint {made} of {account}, secret {secret_text(secret)}")


@webhook.command("list")
@click.option("--account", metavar="NAME", help="Only this account.")
@json_option
@data_option
def list_(*, account: str | None, as_json: bool) -> None:
    """List endpoints, how they do, and how many events wait for them."""

    async def work(database: Postgres) -> list[WebhookEndpoint]:
        owner = None if account is None else await account_id(AccountStore(database), account)
        return await WebhookStore(database).all(owner)

    found = with_store(work)
    if as_json:
        print_json([_as_json(each) for each in found])
        return
    print_table(
        ("endpoint", "account", "url", "state", "waiting", "dead"),
        [
            (e.id.hex, e.account, e.terms.url, e.state.value, str(e.waiting), str(e.dead))
            for e in found
        ],
        empty="there is no endpoint; make one with `posthouse webhook add`",
        numbers=2,
    )


@webhook.command
@endpoint_argument
@json_option
@data_option
def show(*, id_: UUID, as_json: bool) -> None:
    """Show all of an endpoint but its secrets."""
    shown = _as_json(with_store(lambda database: endpoint(database, id_)))
    if as_json:
        print_json(shown)
        return
    for name, value in shown.items():
        text = ", ".join(value) if isinstance(value, list | tuple) else value
        if text not in (None, ""):
            print_line(f"{name.replace('_', ' ')}: {text}")


def _as_json(found: WebhookEndpoint) -> dict[str, Any]:
    terms = found.terms
    return {
        "id": found.id.hex,
        "account": found.account,
        "url": terms.url,
        "dialect": terms.dialect,
        "kinds": terms.kinds,
        "streams": terms.streams,
        "every_seconds": round(terms.gather.total_seconds()),
        "note": terms.note,
        "has_headers": found.has_fields,
        "has_two_secrets": found.has_two_secrets,
        "state": found.state.value,
        "paused_for": found.paused_for,
        "failures": found.failures,
        "failing_since": found.failing_since,
        "next_try": found.retry_at,
        "waiting_events": found.waiting,
        "oldest_event": found.oldest_at,
        "dead_events": found.dead,
    }
