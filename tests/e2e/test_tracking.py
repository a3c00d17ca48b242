"""Opens and clicks through the whole relay: from the submission to what the timeline shows."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import dkim
import pytest
import pytest_asyncio

from e2e.vendors_pages import Customer, customer
from servers.patience import eventually
from servers.shared_relay import SharedRelay, Submitted, shared_relay
from servers.tracking_server import TrackingAnswer, ask

HOST = "https://t.relay.example"
TO = "ann@dest.example"
SHOP = "https://shop.example/sale?a=1&b=2"
HTML = f'<html><body><p>Hi <a href="{SHOP.replace("&", "&amp;")}">Sale</a></body></html>'
OFF = {"optionsAttributes": {"openTracking": False, "clickTracking": True}}
ON = {"optionsAttributes": {"openTracking": True, "clickTracking": True}}
WRITTEN = "SELECT count(*) FROM events WHERE submission_id = $1 AND kind IN ('opened', 'clicked')"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedRelay]:
    folder = tmp_path_factory.mktemp("relay")
    folder.chmod(0o711)
    async with shared_relay(folder, POSTHOUSE_TRACKING_URL=HOST) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Received:
    """A message as its recipient has it."""

    relay: SharedRelay
    submitted: Submitted
    content: bytes

    def paths(self, kind: str) -> list[str]:
        """Those of the pixel ("o") or of links ("c"), as the message has them."""
        return re.findall(rf'"{HOST}(/{kind}/[\w-]+)"', self.content.decode())

    async def follow(self, path: str) -> TrackingAnswer:
        """Ask for it, as a browser does."""
        return await ask(self.relay.tracking, path, user_agent="Mozilla/5.0 Gecko/20100101 Firefox")

    async def visits(self, count: int) -> dict[str, dict[str, Any]]:
        """The detail of *count* opens and clicks in the timeline, by their kind."""

        async def are_written() -> bool:
            written: int = await self.relay.database.fetchval(WRITTEN, self.submitted.id)
            return written == count

        await eventually(are_written)
        told = await self.relay.events(self.submitted)
        return {e["kind"]: e["detail"] for e in told if e["kind"] in ("opened", "clicked")}


async def received(
    of: Customer, sender: str, published: list[dict[str, str]], attributes: object = None
) -> Received:
    """One message of *of* in HTML, whose signatures are good by what is *published*."""
    lines = [f"From: {sender}", f"To: {TO}", "Subject: Hello", "Message-ID: <1@app.example>"]
    lines += ["MIME-Version: 1.0", "Content-Type: text/html; charset=utf-8"]
    if attributes is not None:
        lines.append(f"X-MT-ATTR: {json.dumps(attributes)}")
    submitted = await of.submit(sender, TO, "\r\n".join((*lines, "", HTML, "")).encode())
    content = (await of.relay.arrived(submitted))[TO].content
    by_name = {one["name"].encode() + b".": one["value"].encode() for one in published}
    assert dkim.verify(content, dnsfunc=lambda name, **_: by_name.get(name))
    return Received(of.relay, submitted, content)


async def test_T09_the_header_turns_opens_and_clicks_on_and_the_timeline_shows_them(
    relay: SharedRelay,
) -> None:
    records = await relay.domain("brand", "brand.example")
    brand = await customer(relay, "mailtarget", account="brand")

    mail = await received(brand, "news@brand.example", records, ON)

    (pixel,), (link,) = mail.paths("o"), mail.paths("c")
    assert b"shop.example" not in mail.content
    opened, followed = await mail.follow(pixel), await mail.follow(link)
    assert (200, "image/gif") == (opened.status, opened.fields["content-type"])
    assert (302, SHOP) == (followed.status, followed.fields["location"])
    visits = await mail.visits(2)
    assert {"opened", "clicked"} == visits.keys()
    assert (0, SHOP) == (visits["clicked"]["link"], visits["clicked"]["target"])
    assert "127.0.0.1" == visits["opened"]["client"]


async def test_T10_the_account_s_default_turns_both_on_and_the_header_wins(
    relay: SharedRelay,
) -> None:
    records = await relay.domain("house", "house.example")
    on = ("tracking.opens=true", "tracking.clicks=true")
    house = await customer(relay, "mailtarget", *on, account="house")

    unsaid = await received(house, "news@house.example", records)
    said = await received(house, "news@house.example", records, OFF)

    assert (1, 1) == (len(unsaid.paths("o")), len(unsaid.paths("c")))
    assert (0, 1) == (len(said.paths("o")), len(said.paths("c")))
    assert 302 == (await said.follow(said.paths("c")[0])).status
    assert {"clicked"} == (await said.visits(1)).keys()


async def test_C22_clicks_of_mail_without_a_tag_are_tracked_with_the_source_email(
    relay: SharedRelay,
) -> None:
    records = await relay.domain("bar", "bar.com")
    signed_by = "sender.signed_by=foo@bar.com"
    bar = await customer(relay, "critsend", signed_by, account="bar")

    mail = await received(bar, "foo@bar.com", records)

    (link,) = mail.paths("c")
    followed = await mail.follow(link)
    assert f"{SHOP}&utm_source=email" == followed.fields["location"]
    assert f"{SHOP}&utm_source=email" == (await mail.visits(1))["clicked"]["target"]
