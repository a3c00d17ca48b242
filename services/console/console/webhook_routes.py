"""Endpoints that are told of events over HTTP (docs/webhooks.md): made, changed and shown."""

import os
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Annotated

from msgspec import Meta, Struct

from console.call import Call, ConsoleRoute, as_json, invalid, reading
from console.own_webhooks import ShownWebhook, WebhookList, own_webhook, shown
from posthouse.http.api_description import About
from posthouse.http.http_response import HttpResponse
from posthouse.http.problem import Kind, Problem
from posthouse.mail.permission import Permission
from posthouse.mail.secret import NONCE_OCTETS, seal
from posthouse.store.webhook_endpoints import (
    NoRoomForWebhook,
    TermChanges,
    WebhookStore,
    WebhookTerms,
)
from posthouse.webhooks.dialects import DIALECTS
from posthouse.webhooks.endpoint_terms import (
    UnusableWebhook,
    checked_kinds,
    checked_url,
    stored_fields,
)
from posthouse.webhooks.webhook_signature import SECRET_OCTETS, secret_text

WEBHOOKS = "/v1/webhooks"
"""Where all are found."""

_MOST_HOURS = 720
_Text = Annotated[str, Meta(min_length=1, max_length=500)]
_Texts = Annotated[list[_Text], Meta(max_length=100)]
_Url = Annotated[str, Meta(min_length=1, max_length=2_000)]
_Note = Annotated[str, Meta(max_length=500)]
_Seconds = Annotated[int, Meta(ge=0, le=3_600)]


class NewWebhook(Struct, frozen=True, forbid_unknown_fields=True):
    """What is chosen for an endpoint."""

    url: _Url
    kinds: _Texts = []  # none: all
    streams: _Texts = []  # none: mail of all, and of none
    dialect: _Text = "native"
    every_seconds: _Seconds | None = None  # events are gathered; null: as the dialect has it
    note: _Note = ""
    headers: dict[str, str] = {}  # of each request; they are not shown again


class ChangedWebhook(Struct, frozen=True, forbid_unknown_fields=True):
    """What is not given, or null, stays as it is."""

    url: _Url | None = None
    kinds: _Texts | None = None
    streams: _Texts | None = None
    dialect: _Text | None = None
    every_seconds: _Seconds | None = None
    note: _Note | None = None
    headers: dict[str, str] | None = None  # in the place of all that there were


class NewWebhookSecret(Struct, frozen=True, forbid_unknown_fields=True):
    """How long the secret before signs as well."""

    keep_hours: Annotated[int, Meta(ge=0, le=_MOST_HOURS)] = 24


class WebhookSecret(Struct, frozen=True):
    """An endpoint, and the secret that signs: it is not shown again."""

    id: str
    secret: str


class WebhookRoutes:
    """Reads and changes."""

    def __init__(self, store: WebhookStore, sealing_key: bytes, *, allow_http: bool) -> None:
        """*sealing_key*: that of `Purpose.WEBHOOK_SECRETS`."""
        self._store = store
        self._key = sealing_key
        self._allow_http = allow_http

    def routes(self) -> Iterator[ConsoleRoute]:
        """Where they are found."""
        needed, one = Permission.MANAGE_WEBHOOKS, f"{WEBHOOKS}/{{id}}"
        about = About("List endpoints.", ((200, "All of them.", WebhookList),))
        yield ConsoleRoute("GET", WEBHOOKS, needed, self.find_all, about)
        about = About(
            "Tell a URL of what happens from now on.",
            ((200, "It is told.", WebhookSecret),),
            (("application/json", NewWebhook),),
        )
        yield ConsoleRoute("POST", WEBHOOKS, needed, self.add, about)
        about = About("Show an endpoint.", ((200, "Known.", ShownWebhook),))
        yield ConsoleRoute("GET", one, needed, self.show, about)
        about = About(
            "Change what is given; events that wait are sent as they were written.",
            ((200, "As it is now.", ShownWebhook),),
            (("application/json", ChangedWebhook),),
        )
        yield ConsoleRoute("PATCH", one, needed, self.change, about)
        about = About(
            "Remove an endpoint, and what waits for it.", ((200, "As it was.", ShownWebhook),)
        )
        yield ConsoleRoute("DELETE", one, needed, self.remove, about)
        yield from self._switches(one)

    def _switches(self, one: str) -> Iterator[ConsoleRoute]:
        needed = Permission.MANAGE_WEBHOOKS
        about = About(
            "Make another secret; the one before signs beside it for some time.",
            ((200, "The new one signs.", WebhookSecret),),
            (("application/json", NewWebhookSecret),),
        )
        yield ConsoleRoute("POST", f"{one}/rotate", needed, self.rotate, about)
        for name, summary in (
            ("pause", "Send nothing more; events wait for seven days."),
            ("resume", "Try a paused or failing endpoint at once."),
        ):
            about = About(summary, ((200, "As it is now.", ShownWebhook),))
            answer: Callable[[Call], Awaitable[HttpResponse]] = partial(self._switch, name)
            yield ConsoleRoute("POST", f"{one}/{name}", needed, answer, about)

    async def find_all(self, call: Call) -> HttpResponse:
        """Those of the accounts."""
        found = [one for id_ in call.accounts.values() for one in await self._store.all(id_)]
        return as_json(WebhookList([shown(one) for one in found]))

    async def add(self, call: Call) -> HttpResponse:
        """A new one, of one account."""
        new = await call.body(NewWebhook)
        dialect = DIALECTS[_dialect(new.dialect)]
        wait = new.every_seconds
        with reading(UnusableWebhook):
            terms = WebhookTerms(
                url=checked_url(new.url, allow_http=self._allow_http),
                dialect=new.dialect,
                kinds=checked_kinds(new.kinds),
                streams=new.streams,
                gather=dialect.gather if wait is None else timedelta(seconds=wait),
                note=new.note,
            )
        fields, secret = self._sealed_fields(new.headers), os.urandom(SECRET_OCTETS)
        try:
            made = await self._store.create(
                call.account[1], terms, self._sealed(secret), fields, call.caller.actor
            )
        except NoRoomForWebhook as error:
            raise Problem(409, Kind.CONFLICT, str(error)) from error
        return as_json(WebhookSecret(made.hex, secret_text(secret)))

    async def show(self, call: Call) -> HttpResponse:
        """One."""
        return as_json(shown(await own_webhook(self._store, call)))

    async def change(self, call: Call) -> HttpResponse:
        """What is given of one."""
        found = await own_webhook(self._store, call)
        new = await call.body(ChangedWebhook)
        with reading(UnusableWebhook):
            changes = TermChanges(
                url=new.url and checked_url(new.url, allow_http=self._allow_http),
                dialect=new.dialect and _dialect(new.dialect),
                kinds=None if new.kinds is None else checked_kinds(new.kinds),
                streams=new.streams,
                gather=None if new.every_seconds is None else timedelta(seconds=new.every_seconds),
                note=new.note,
                sealed_fields=self._sealed_fields(new.headers),
                has_new_fields=new.headers is not None,
            )
        await self._store.change(found, changes, call.caller.actor)
        return await self.show(call)

    async def remove(self, call: Call) -> HttpResponse:
        """Remove one, and what waits for it."""
        found = await own_webhook(self._store, call)
        await self._store.remove(found, call.caller.actor)
        return as_json(shown(found))

    async def rotate(self, call: Call) -> HttpResponse:
        """Another secret."""
        found = await own_webhook(self._store, call)
        kept = timedelta(hours=(await call.body(NewWebhookSecret)).keep_hours)
        secret = os.urandom(SECRET_OCTETS)
        await self._store.rotate(found, self._sealed(secret), kept, call.caller.actor)
        return as_json(WebhookSecret(found.id.hex, secret_text(secret)))

    async def _switch(self, name: str, call: Call) -> HttpResponse:
        found, actor = await own_webhook(self._store, call), call.caller.actor
        if name == "pause":
            await self._store.pause(found, f"by {call.caller.username}", actor)
        else:
            await self._store.resume(found, actor)
        return await self.show(call)

    def _sealed_fields(self, headers: dict[str, str] | None) -> bytes | None:
        if not headers:
            return None
        with reading(UnusableWebhook):
            return self._sealed(stored_fields(headers))

    def _sealed(self, plain: bytes) -> bytes:
        return seal(plain, self._key, os.urandom(NONCE_OCTETS))


def _dialect(name: str) -> str:
    if name not in DIALECTS:
        raise invalid(f"dialect: {name[:80]!a} is none of {', '.join(DIALECTS)}")
    return name
