"""Options about endpoints of customers that several commands have in common."""

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

import click

from command.context import known_settings
from posthouse.mail.moment_text import UnreadableMoment, age_in, moment_in
from posthouse.mail.secret import NONCE_OCTETS, Purpose, derive, seal
from posthouse.running.settings import load
from posthouse.store.postgres import Postgres
from posthouse.store.webhook_endpoints import WebhookEndpoint, WebhookStore
from posthouse.webhooks.dialects import DIALECTS
from posthouse.webhooks.endpoint_terms import (
    UnusableWebhook,
    basic_authorization,
    checked_kinds,
    checked_url,
    stored_fields,
)

P = ParamSpec("P")
T = TypeVar("T")

_MOST_GATHERED = timedelta(hours=1)


class _IdType(click.ParamType[UUID]):
    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> UUID:
        if isinstance(value, UUID):
            return value
        try:
            return UUID(str(value))
        except ValueError:
            self.fail(f"{value!r} is not an id: 32 hexadecimal digits", param, ctx)


class _MomentType(click.ParamType[datetime]):
    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return moment_in(str(value), datetime.now(UTC))
        except UnreadableMoment as error:
            self.fail(str(error), param, ctx)


ID = _IdType()
MOMENT = _MomentType()
endpoint_argument = click.argument("id_", metavar="ID", type=ID)
kind_option = click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    callback=lambda _ctx, _param, value: _checked(lambda: checked_kinds(value)),
    help="Only events of this kind, such as bounced; may be repeated.  [default: all]",
)


def term_options(command: Callable[P, T]) -> Callable[P, T]:
    """What is chosen for an endpoint, beside its URL."""
    for option in (
        click.option("--note", metavar="TEXT", help="Shown in lists."),
        click.option(
            "--every",
            "gather",
            metavar="TIME",
            callback=_gather,
            help="Gather events, and send at multiples of this time of the clock, such as 5min.",
        ),
        click.option("--basic-auth", metavar="USER:PASSWORD", help="Log in like that (RFC 7617)."),
        click.option(
            "--header",
            "fields",
            multiple=True,
            metavar="NAME:VALUE",
            help="A field of each request; may be repeated.",
        ),
        click.option(
            "--stream",
            "streams",
            multiple=True,
            metavar="NAME",
            help="Only events of mail of this stream; may be repeated.  [default: all]",
        ),
        kind_option,
    ):
        command = option(command)
    return command


def dialect_option(command: Callable[P, T]) -> Callable[P, T]:
    """In which form events are told."""
    return click.option("--dialect", type=click.Choice(list(DIALECTS)), help="Form of the events.")(
        command
    )


def url_given(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """A URL that may be called by the settings of this environment: a callback of click."""
    del ctx, param
    if value is None:
        return None
    from webhooks.settings import WithWebhooks  # noqa: PLC0415 -- the settings of a service

    allow_http = load(WithWebhooks, os.environ, also_known=known_settings).webhook_allow_http
    return _checked(lambda: checked_url(value, allow_http=allow_http))


def fields_given(fields: Sequence[str], basic_auth: str | None) -> bytes | None:
    """The fields of requests as they are sealed; None: none was given."""
    named: dict[str, str] = {}
    for field in fields:
        name, colon, value = field.partition(":")
        if not colon:
            raise click.BadParameter(f"{field!r} is not like NAME:VALUE")
        named[name.strip()] = value.strip()
    if basic_auth is not None:
        user, colon, password = basic_auth.partition(":")
        if not colon:
            raise click.BadParameter("--basic-auth is not like USER:PASSWORD")
        named["Authorization"] = basic_authorization(user, password)
    return _checked(lambda: stored_fields(named)) if named else None


def sealed(plain: bytes, secret_key: bytes) -> bytes:
    """*plain*, which only the relay reads."""
    return seal(plain, derive(secret_key, Purpose.WEBHOOK_SECRETS), os.urandom(NONCE_OCTETS))


async def endpoint(database: Postgres, id_: UUID) -> WebhookEndpoint:
    """That endpoint; without one the command ends."""
    found = await WebhookStore(database).find(id_)
    if found is None:
        raise click.ClickException(
            f"there is no endpoint {id_.hex}; `posthouse webhook list` shows all"
        )
    return found


def _gather(ctx: click.Context, param: click.Parameter, value: str | None) -> timedelta | None:
    if value is None:
        return None
    try:
        found = timedelta() if value == "0" else age_in(value)
    except UnreadableMoment as error:
        raise click.BadParameter(str(error), ctx, param) from error
    if found > _MOST_GATHERED:
        raise click.BadParameter(f"{value!r} is more than an hour", ctx, param)
    return found


def _checked(work: Callable[[], T]) -> T:
    try:
        return work()
    except UnusableWebhook as error:
        raise click.BadParameter(str(error)) from error
