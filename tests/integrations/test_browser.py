"""The page to unsubscribe in a browser: used by keys, without scripts, and checked by axe-core."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from posthouse.mail.submission import Attributes
from posthouse.mail.subscription import UnsubscribeForm
from posthouse.running.http_server import HttpServer
from posthouse.running.tcp import Endpoint
from posthouse.store.database_watchdog import DatabaseWatchdog
from posthouse.store.subscriptions import SubscriptionStore
from posthouse.tracking.token import UnsubscribeToken, sign, token_keys
from servers.chromium import axe_core, browsing
from servers.ports import lasting_ports
from servers.shared_relay import SharedRelay, shared_relay
from servers.stores import Stores, open_stores
from servers.webhook_sink import webhook_sink
from tracking.core.language import Language
from tracking.pages import pages
from tracking.unsubscribing import Unsubscribing

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
ANN, SHOP = "ann@dest.example", "shop@sender.example"
HEADER = f"From: The Shop <{SHOP}>\r\nTo: {ANN}\r\nSubject: News\r\nX-Tag: news\r\n"
LETTER = f"{HEADER}\r\nHello\r\n".encode()
HTML = "MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
KEYS = token_keys(b"m" * 32, [0])
VIOLATIONS = "axe.run().then(r => r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html)))"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that other users may look into, as the database's."""
    tmp_path.chmod(0o711)
    return tmp_path


async def test_a_mail_is_opened_clicked_and_unsubscribed_from_and_all_of_it_is_told(
    folder: Path,
) -> None:
    """As the recipient does it in a browser; then the timeline, the webhook and the report."""
    async with shop_with_pages(folder) as relay, browsing() as tab, webhook_sink() as sink:
        login = await relay.login("shop", "ours")
        kinds = ("opened", "clicked", "unsubscribed", "suppressed")
        chosen = [word for kind in kinds for word in ("--kind", kind)]
        await relay.command("webhook", "add", sink.url(), "--account", "shop", *chosen)
        target = f"http://localhost:{sink.port}/sale?a=1"
        page = f'<html><body><h1>News</h1><a href="{target}">Sale</a></body></html>\r\n'
        first = await relay.submit(login, SHOP, [ANN], f"{HEADER}{HTML}{page}".encode())
        arrived = (await relay.arrived(first))[ANN].content.decode()
        (leave,) = re.findall(r"List-Unsubscribe: <(http://\S+)>", arrived)
        (folder / "mail.html").write_text(arrived.partition("\r\n\r\n")[2])

        await tab.visit((folder / "mail.html").as_uri())
        await tab.press("Tab")
        await tab.submit_by_enter()
        assert target == await tab.value("location.href")
        await tab.visit(leave)
        await tab.press("Tab", "Tab")
        await tab.submit_by_enter()
        second = await relay.submit(login, SHOP, [ANN], LETTER)
        assert {} == await relay.arrived(second)

        await sink.has(4)
        told = {event["type"]: event for event in sink.events()}
        assert {f"message.{kind}" for kind in kinds} == told.keys()
        assert [first.id.hex] * 3 + [second.id.hex] == [
            told[f"message.{kind}"]["message"] for kind in kinds
        ]
        timeline = {event["kind"]: event["detail"] for event in await relay.events(first)}
        assert target == timeline["clicked"]["target"]
        assert {"opened", "unsubscribed"} < timeline.keys()
        assert "suppressed" in {event["kind"] for event in await relay.events(second)}
        reported = await relay.command("report", "message", "--json", first.id.hex)
        (row,) = json.loads(reported)
        assert ANN == row["recipient"]
        reads = {kind: sum(row[n] for n in row if n.startswith(kind)) for kind in kinds[:2]}
        assert {"opened": 1, "clicked": 1} == reads


async def test_a_recipient_unsubscribes_and_the_next_mail_is_suppressed(folder: Path) -> None:
    """By the link in the message that arrived, with keys alone and JavaScript turned off."""
    async with shop_with_pages(folder) as relay, browsing() as tab:
        login = await relay.login("shop", "ours")
        first = await relay.submit(login, SHOP, [ANN], LETTER)
        arrived = (await relay.arrived(first))[ANN].content.decode()
        (url,) = re.findall(r"List-Unsubscribe: <(http://\S+)>", arrived)

        await tab.ask("Emulation.setScriptExecutionDisabled", value=True)
        await tab.visit(url, "de-CH, en;q=0.5")
        assert "Abmelden" == await tab.value("document.title")
        assert "The Shop" in await tab.value("document.body.innerText")
        await tab.press("Tab", "Tab")  # past the box
        await tab.submit_by_enter()
        assert "Sie sind abgemeldet" == await tab.value("document.title")

        second = await relay.submit(login, SHOP, [ANN], LETTER)
        assert {} == await relay.arrived(second)
        told = {event["kind"]: event["detail"] for event in await relay.events(second)}
        assert ("unsubscribe", "tag:news") == (
            told["suppressed"]["list"],
            told["suppressed"]["scope"],
        )
        assert "unsubscribed" in {event["kind"] for event in await relay.events(first)}

        await tab.press("Tab")
        await tab.submit_by_enter()
        assert "Sie sind wieder angemeldet" == await tab.value("document.title")
        third = await relay.submit(login, SHOP, [ANN], LETTER)
        assert {ANN} == (await relay.arrived(third)).keys()
        assert "resubscribed" in {event["kind"] for event in await relay.events(first)}


@asynccontextmanager
async def shop_with_pages(folder: Path) -> AsyncIterator[SharedRelay]:
    """A relay whose links lead to itself; its account `shop` tracks, and offers to unsubscribe."""
    (port,) = lasting_ports(1)
    at = f"127.0.0.1:{port}"
    async with shared_relay(
        folder,
        POSTHOUSE_TRACKING_LISTEN=at,
        POSTHOUSE_TRACKING_URL=f"http://{at}",
        POSTHOUSE_WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8",
        POSTHOUSE_WEBHOOK_ALLOW_HTTP="true",
    ) as relay:
        await relay.domain("shop", "sender.example")
        await relay.profile(
            "shop",
            "ours",
            "critsend",
            *("suppression.unsubscribe_fields=true", "tracking.opens=true"),
            *("tracking.clicks=true", "tracking.traffic_source="),
        )
        yield relay


@asynccontextmanager
async def pages_of(stores: Stores) -> AsyncIterator[tuple[str, str]]:
    """URLs of a page that asks and of one that is done."""
    store = SubscriptionStore(stores.database, revocable=timedelta(days=7))
    urls = []
    for tag in ("asked", "left"):
        (delivery,) = await stores.queue(
            recipients=(ANN,), profile="critsend", attributes=Attributes(tags=(tag,))
        )
        urls.append(f"/u/{sign(UnsubscribeToken(delivery.id), KEYS[0])}")
    one = await store.find(delivery.id)
    assert one is not None
    await store.unsubscribe(one, UnsubscribeForm.PAGE)
    watchdog = DatabaseWatchdog(stores.database.alone())
    unsubscribing = Unsubscribing(store, KEYS, partial(watchdog.deadline, 30.0))
    server = HttpServer("tracking", pages(unsubscribing.routes()), Endpoint("127.0.0.1", 0))
    async with server as at:
        yield f"http://{at}{urls[0]}", f"http://{at}{urls[1]}"


async def test_every_page_is_accessible_in_every_language(database: str, tmp_path: Path) -> None:
    """As axe-core judges: names of controls, contrast, headings, landmarks, language."""
    axe = await axe_core(tmp_path)
    async with open_stores(database) as stores, pages_of(stores) as urls, browsing() as tab:
        for language in Language:
            for url in (*urls, urls[0][:-3] + "AAA"):
                await tab.visit(url, language.value)
                assert language.value == await tab.value("document.documentElement.lang")
                await tab.value(axe + ";0")
                assert [] == await tab.value(VIOLATIONS)
