"""Recipients unsubscribe over HTTP: GET asks, POST does it, and nothing is pretended."""

import http.client
from asyncio import to_thread
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import NamedTuple
from uuid import UUID

import pytest_asyncio

from posthouse.mail.headline import Headline
from posthouse.mail.submission import Attributes
from posthouse.running.http_server import HttpServer
from posthouse.running.tcp import Endpoint
from posthouse.store.database_watchdog import DatabaseWatchdog
from posthouse.store.postgres import Postgres
from posthouse.store.subscriptions import SubscriptionStore
from posthouse.store.suppressions import SuppressionStore
from posthouse.tracking.token import OpenToken, Token, UnsubscribeToken, sign, token_keys
from servers.stores import Stores, open_stores
from tracking.pages import pages
from tracking.unsubscribing import Unsubscribing

KEYS = token_keys(b"m" * 32, [1, 0])
ONE_CLICK = "List-Unsubscribe=One-Click"


class Shown(NamedTuple):
    """An answer."""

    status: int
    fields: http.client.HTTPMessage
    text: str


@dataclass
class Pages:
    """The server, a client, and what is in the database."""

    stores: Stores
    at: Endpoint
    path: str = ""  # for the message that was sent last
    submission: UUID | None = None

    async def send(self, **attributes: object) -> None:
        """Send a message of that kind to Ann."""
        (delivery,) = await self.stores.queue(
            recipients=("ann@dest.example",),
            profile="critsend",
            attributes=Attributes(**attributes),  # type: ignore[arg-type]
            headline=Headline("Offers", "shop@sender.example", "The Shop"),
        )
        self.submission = delivery.submission_id
        self.path = f"/u/{sign(UnsubscribeToken(delivery.id), KEYS[0])}"

    async def ask(
        self, method: str = "GET", body: str | None = None, path: str | None = None, **fields: str
    ) -> Shown:
        """One request."""
        return await to_thread(self._ask, method, self.path if path is None else path, body, fields)

    def _ask(self, method: str, path: str, body: str | None, fields: dict[str, str]) -> Shown:
        connection = http.client.HTTPConnection(self.at.host, self.at.port, timeout=60)
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        if body is not None:
            headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return Shown(answer.status, answer.headers, text)

    async def listed(self) -> list[str]:
        """The scopes on the unsubscribe list."""
        return sorted(
            row["scope"] for row in await SuppressionStore(self.stores.database).entries()
        )

    async def told(self) -> list[str]:
        """What happened to the last message since it was prepared."""
        assert self.submission is not None
        return (await self.stores.kinds(self.submission))[2:]


@asynccontextmanager
async def served(stores: Stores, database: Postgres) -> AsyncIterator[Pages]:
    """The pages over *database*."""
    watchdog = DatabaseWatchdog(database.alone())
    unsubscribing = Unsubscribing(
        SubscriptionStore(database, revocable=timedelta(days=7)),
        KEYS,
        partial(watchdog.deadline, 30.0),
    )
    server = HttpServer("tracking", pages(unsubscribing.routes()), Endpoint("127.0.0.1", 0))
    async with server as at:
        yield Pages(stores, at)


@pytest_asyncio.fixture
async def shop(database: str) -> AsyncIterator[Pages]:
    async with open_stores(database) as stores, served(stores, stores.database) as found:
        yield found


async def test_get_asks_and_only_post_unsubscribes(shop: Pages) -> None:
    """C25: from the tags of that message; scanners that follow links change nothing."""
    await shop.send(tags=("invoice1",))
    for method in ("GET", "HEAD", "OPTIONS"):
        await shop.ask(method)
    asked = await shop.ask(Accept_Language="de-CH")
    assert (200, "de") == (asked.status, asked.fields["Content-Language"])
    assert "Nachrichten der Art „<bdi>invoice1</bdi>“" in asked.text
    assert ([], []) == (await shop.listed(), await shop.told())

    done = await shop.ask("POST", "action=unsubscribe", Accept_Language="fr")
    assert (200, "fr") == (done.status, done.fields["Content-Language"])
    assert "Vous êtes désabonné" in done.text
    again = await shop.ask()
    assert "You are unsubscribed" in again.text
    assert (["tag:invoice1"], ["unsubscribed"]) == (await shop.listed(), await shop.told())

    back = await shop.ask("POST", "action=resubscribe")
    assert "You are subscribed again" in back.text
    assert ([], ["unsubscribed", "resubscribed"]) == (await shop.listed(), await shop.told())
    assert "Do you want" in (await shop.ask()).text


async def test_a_button_of_a_mail_program_does_it_at_once(shop: Pages) -> None:
    """RFC 8058: without cookies or redirects, and with a text for machines."""
    await shop.send()
    for _ in range(2):  # it may be sent again
        done = await shop.ask("POST", ONE_CLICK)
        assert (200, "Unsubscribed\n") == (done.status, done.text)
    assert done.fields["Content-Type"].startswith("text/plain")
    assert (["tag:default"], ["unsubscribed"]) == (await shop.listed(), await shop.told())
    assert "one click" == await shop.stores.value("SELECT evidence->>'by' FROM suppressions")


async def test_all_of_a_senders_mail_may_be_left(shop: Pages) -> None:
    await shop.send(tags=("a",))
    await shop.ask("POST", "everything=yes&action=unsubscribe")
    assert [""] == await shop.listed()
    await shop.send(tags=("b",))
    assert "You are unsubscribed" in (await shop.ask()).text


async def test_what_is_no_form_of_the_page_changes_nothing(shop: Pages) -> None:
    await shop.send()
    for body in ("", "List-Unsubscribe=No", "action=", "x" * 9_000, "action=resubscribe"):
        answer = await shop.ask("POST", body)
        assert answer.status == (200 if body == "action=resubscribe" else 400), body
    assert ([], []) == (await shop.listed(), await shop.told())


async def test_pages_are_kept_framed_and_indexed_by_nobody(shop: Pages) -> None:
    await shop.send()
    for answer in (await shop.ask(), await shop.ask(path="/u/forged"), await shop.ask("HEAD")):
        assert "no-store" == answer.fields["Cache-Control"]
        assert "noindex, nofollow" == answer.fields["X-Robots-Tag"]
        assert "no-referrer" == answer.fields["Referrer-Policy"]
        policy = answer.fields["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "frame-ancestors 'none'" in policy
        assert "Accept-Language" == answer.fields["Vary"]
        assert answer.fields["Set-Cookie"] is None


async def test_a_link_of_nobodys_is_told_so(shop: Pages) -> None:
    await shop.send()
    other: Token = OpenToken(UUID(int=7))
    unknown = f"/u/{sign(UnsubscribeToken(UUID(int=7)), KEYS[0])}"
    for path in ("/u/x", f"/u/{sign(other, KEYS[0])}", shop.path[:-1] + "A" * 2, "/u/%00%ff"):
        answer = await shop.ask(path=path, Accept_Language="es")
        assert (404, "es") == (answer.status, answer.fields["Content-Language"]), path
        assert "Este enlace no funciona" in answer.text
        assert 404 == (await shop.ask("POST", ONE_CLICK, path)).status
    gone = await shop.ask(path=unknown)
    assert 410 == gone.status
    assert "too old" in gone.text
    answer = await shop.ask("POST", ONE_CLICK, unknown)
    assert (410, "Not unsubscribed\n") == (answer.status, answer.text)


async def test_what_can_no_longer_be_taken_back_is_said(shop: Pages) -> None:
    await shop.send()
    await shop.ask("POST", "action=unsubscribe")
    await shop.stores.sql("UPDATE suppressions SET created_at = now() - interval '8 d'")
    assert "resubscribe" not in (await shop.ask()).text
    answer = await shop.ask("POST", "action=resubscribe")
    assert 409 == answer.status
    assert "You are still unsubscribed" in answer.text
    assert ["tag:default"] == await shop.listed()


async def test_while_the_database_is_away_nothing_is_pretended(shop: Pages) -> None:
    await shop.send()
    away = Postgres("postgresql://nobody@127.0.0.1:1/nothing")
    async with served(shop.stores, away) as pages_without:
        asked = await pages_without.ask(path=shop.path, Accept_Language="it")
        assert (503, "it") == (asked.status, asked.fields["Content-Language"])
        assert "Riprovi più tardi" in asked.text
        posted = await pages_without.ask("POST", "action=unsubscribe", shop.path)
        assert (503, "60") == (posted.status, posted.fields["Retry-After"])
        clicked = await pages_without.ask("POST", ONE_CLICK, shop.path)
        assert (503, "Not unsubscribed\n") == (clicked.status, clicked.text)
    assert [] == await shop.listed()


async def test_a_write_that_fails_is_no_success(shop: Pages) -> None:
    """The page was found and the entry cannot be written: event and entry are one transaction."""
    await shop.send()
    await shop.stores.sql("ALTER TABLE suppressions RENAME COLUMN rule TO away")
    assert 503 == (await shop.ask("POST", ONE_CLICK)).status
    await shop.stores.sql("ALTER TABLE suppressions RENAME COLUMN away TO rule")
    await shop.stores.sql("ALTER TABLE events RENAME COLUMN detail TO away")
    assert 503 == (await shop.ask("POST", "action=unsubscribe")).status
    await shop.stores.sql("ALTER TABLE events RENAME COLUMN away TO detail")
    assert ([], []) == (await shop.listed(), await shop.told())
