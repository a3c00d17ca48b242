"""Opens and clicks, from the request to the event: a real server over a real database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from pydantic import SecretBytes, SecretStr

from posthouse.broker.embedded import EmbeddedBroker
from posthouse.mail.submission import Delivery
from posthouse.running.program import Resources
from posthouse.running.tcp import Endpoint
from posthouse.store.postgres import Postgres
from posthouse.tracking.link_set import LinkSet
from posthouse.tracking.token import ClickToken, OpenToken, Token, sign, token_keys
from servers.bounce_port import counted
from servers.stores import ACCOUNT, Stores, a_submission, delivered, open_stores, prepared
from servers.tracking_server import asked
from tracking.service import TrackingService
from tracking.settings import TrackingSettings
from tracking.wiring import build

LINKS = LinkSet.of(ACCOUNT, ["https://shop.example/a", "https://shop.example/b"])
MASTER = b"k" * 32
(KEY,) = token_keys(MASTER, [0])
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


async def delivered_mail(stores: Stores, ago: timedelta = timedelta(hours=1)) -> Delivery:
    """A message with links, taken by its destination some time *ago*."""
    await stores.submissions.accept(a_submission(recipients=("ann@dest.example",)))
    (claimed,) = (await stores.submissions.claim(1)).submissions
    await stores.submissions.prepare([replace(prepared(claimed), links=LINKS)])
    one = await stores.claim_one()
    await stores.deliveries.settle(delivered(one))
    await stores.sql(
        "UPDATE attempts SET finished_at = now() - $2::interval WHERE delivery_id = $1",
        one.delivery.id,
        ago,
    )
    return one.delivery


@asynccontextmanager
async def tracking(database: Postgres, **changes: Any) -> AsyncIterator[Endpoint]:
    """The service as it is built; what it noted is written when it ends."""
    settings = TrackingSettings.model_construct(
        secret_key=SecretBytes(MASTER),
        database_url=SecretStr(""),
        tracking_listen=Endpoint("127.0.0.1", 0),
        **changes,
    )
    built = build(settings, Resources(database, database, EmbeddedBroker()))
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for service in built.by_name.values():
            tasks.create_task(service.run(stopping))
        service = built.by_name["tracking"]
        assert isinstance(service, TrackingService)
        yield await service.address()
        await built.checks["tracking"]()
        stopping.set()


async def get(at: Endpoint, token: Token, agent: str = FIREFOX, method: str = "GET") -> int:
    """The status of the answer."""
    path = f"/{'o' if isinstance(token, OpenToken) else 'c'}/{sign(token, KEY)}"
    request = f"{method} {path} HTTP/1.1\r\nHost: t\r\nUser-Agent: {agent}\r\nConnection: close"
    return int((await asked(at, request.encode() + b"\r\n\r\n")).split()[1])


async def details(stores: Stores, kind: str) -> list[dict[str, Any]]:
    """Of the events of *kind*, the oldest first."""
    rows = await stores.sql("SELECT * FROM events WHERE kind = $1 ORDER BY id", kind)
    assert {ACCOUNT} >= {row["account_id"] for row in rows}
    return [row["detail"] for row in rows]


async def test_opens_and_clicks_become_events_with_a_verdict(database: str) -> None:
    async with open_stores(database) as stores:
        mail = await delivered_mail(stores)
        gone = replace(mail, id=ACCOUNT)
        unknown = counted("posthouse_visits_dropped_total", reason="unknown")
        folded = counted("posthouse_visits_folded_total")
        async with tracking(stores.database) as at:
            for token, agent, method, status in (
                (OpenToken(mail.id), "Mozilla/5.0", "GET", 200),
                (OpenToken(mail.id), FIREFOX, "GET", 200),
                (OpenToken(mail.id), FIREFOX, "GET", 200),
                (OpenToken(gone.id), FIREFOX, "GET", 200),
                (ClickToken(mail.id, LINKS.id, 1), FIREFOX, "HEAD", 302),
                (ClickToken(mail.id, LINKS.id, 1), FIREFOX, "GET", 302),
                (ClickToken(mail.id, LINKS.id, 2), FIREFOX, "GET", 404),
                (ClickToken(mail.id, b"0123456789", 0), FIREFOX, "GET", 404),
            ):
                assert status == await get(at, token, agent, method), (token, agent)
        here = {"rules": "1", "client": "127.0.0.1"}
        click = {**here, "agent": FIREFOX, "link": 1, "target": "https://shop.example/b"}
        assert [
            {"verdict": "machine", "rule": "apple privacy", "agent": "Mozilla/5.0", **here},
            {"verdict": "human", "rule": "browser", "agent": FIREFOX, **here},
        ] == await details(stores, "opened")
        assert [
            {"verdict": "machine", "rule": "head", **click},
            {"verdict": "human", "rule": "browser", **click},
        ] == await details(stores, "clicked")
        assert unknown + 1 == counted("posthouse_visits_dropped_total", reason="unknown")
        assert folded + 1 == counted("posthouse_visits_folded_total")
        story = await stores.kinds(mail.submission_id)
        assert ["delivered", "opened", "opened", "clicked", "clicked"] == story[-5:]


async def test_time_since_delivery_and_links_at_once_decide_and_a_client_can_be_dropped(
    database: str,
) -> None:
    """A scan of all links does not make the click of a person later a machine's."""
    async with open_stores(database) as stores:
        mail = await delivered_mail(stores)
        fresh = await delivered_mail(stores, timedelta())
        (early,) = await stores.queue(recipients=("ann@dest.example",))
        async with tracking(stores.database, tracking_keep_client=False) as at:
            for token in (
                ClickToken(early.id, LINKS.id, 0),
                ClickToken(fresh.id, LINKS.id, 0),
                ClickToken(mail.id, LINKS.id, 0),
                ClickToken(mail.id, LINKS.id, 1),
            ):
                await get(at, token)
        async with tracking(stores.database, tracking_keep_client=False) as at:
            await get(at, ClickToken(mail.id, LINKS.id, 0))
        found = await details(stores, "clicked")
        assert [
            "before delivery",
            "clicked at delivery",
            "several links at once",
            "several links at once",
            "browser",
        ] == [detail["rule"] for detail in found]
        assert not any({"client", "agent"} & detail.keys() for detail in found)
