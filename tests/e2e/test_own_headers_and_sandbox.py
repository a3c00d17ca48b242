"""Over the whole relay: mail sent later, accepted once, and tried in the sandbox."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from bench.sink_session import Arrival

from servers.patience import eventually
from servers.shared_relay import HOST, Login, Refused, SharedRelay, shared_relay

pytestmark = pytest.mark.asyncio(loop_scope="module")

SANDBOX = "sandbox.example"
OWN = "jo@own.example"
ANN, BOB = "ann@dest.example", "bob@dest.example"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedRelay]:
    """With a sandbox domain."""
    folder = tmp_path_factory.mktemp("relay")
    folder.chmod(0o711)
    async with shared_relay(folder, POSTHOUSE_SANDBOX_DOMAIN=SANDBOX) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def login(relay: SharedRelay) -> Login:
    """Of an account with a domain of its own."""
    await relay.command("account", "create", "own")
    await relay.domain("own", "own.example", "--onboarding", "trusted")
    return await relay.login("own", "native")


def text(*fields: str, author: str = OWN) -> bytes:
    lines = (f"From: {author}", "Subject: a test", *fields, "", "Hello.", "")
    return "\r\n".join(lines).encode()


async def test_what_is_submitted_twice_under_a_key_arrives_once(
    relay: SharedRelay, login: Login
) -> None:
    """Its client hears the first id both times; recipients see no header of it."""
    key = "X-Posthouse-Idempotency-Key: order-17"
    same = [text(key, f"Message-ID: <{number}@app.example>") for number in range(4)]
    accepted = await asyncio.gather(*(relay.submit(login, OWN, [ANN], one) for one in same))
    assert 1 == len({one.id for one in accepted})
    (arrival,) = (await relay.arrived(accepted[0])).values()
    assert b"x-posthouse-idempotency" not in arrival.content.lower()
    with pytest.raises(Refused, match=r"550 5\.6\.0 Another message was accepted under this"):
        await relay.submit(login, OWN, [BOB], same[0])


async def test_scheduled_mail_arrives_at_its_time(relay: SharedRelay, login: Login) -> None:
    at = datetime.now(UTC) + timedelta(seconds=3)
    sent = await relay.submit(login, OWN, [ANN], text(f"X-Posthouse-Send-At: {at.isoformat()}"))
    assert "scheduled" in await relay.command("queue")
    assert sent.id.hex in await relay.command("queue", "scheduled", "--account", "own")
    assert f"scheduled     until {at:%Y-%m-%d %H:%M:%S}" in await relay.command(
        "message", sent.id.hex
    )

    async def came() -> bool:
        return bool(await relay.arrived(sent))

    assert not await came()
    await eventually(came)
    assert datetime.now(UTC) >= at
    kinds = [event["kind"] for event in await relay.events(sent)]
    assert ["accepted", "scheduled", "prepared", "delivered"] == kinds


async def test_scheduled_mail_may_be_cancelled(relay: SharedRelay, login: Login) -> None:
    at = datetime.now(UTC) + timedelta(days=29)
    sent = await relay.submit(login, OWN, [ANN], text(f"X-Posthouse-Send-At: {at.isoformat()}"))
    assert "cancelled: 1" in await relay.command("queue", "cancel", sent.id.hex, "--yes")
    assert "nothing is scheduled" in await relay.command("queue", "scheduled")
    assert "cancelled" in [event["kind"] for event in await relay.events(sent)]


async def test_what_cannot_be_read_is_refused(relay: SharedRelay, login: Login) -> None:
    with pytest.raises(
        Refused, match=r"550 5\.6\.0 X-Posthouse-Metadata: '\{' seen, a JSON object is"
    ):
        await relay.submit(login, OWN, [ANN], text("X-Posthouse-Metadata: {"))


async def test_T11_an_account_without_a_domain_tries_in_the_sandbox(relay: SharedRelay) -> None:
    """Five messages in its life, to be read for a week; the sixth is refused."""
    await relay.command("account", "create", "new")
    login, sender = await relay.login("new", "native"), f"jo@{SANDBOX}"
    with pytest.raises(Refused, match=r"550 5\.7\.1"):
        await relay.submit(login, OWN, [ANN], text())
    sent = [await relay.submit(login, sender, [ANN], text(author=sender)) for _ in range(5)]
    with pytest.raises(Refused, match=r"550 5\.7\.1 All 5 messages that this account may send"):
        await relay.submit(login, sender, [ANN], text(author=sender))
    for one in sent:
        assert {} == await relay.arrived(one)
    listed = json.loads(await relay.command("sandbox", "list", "--account", "new", "--json"))
    assert {one.id.hex for one in sent} == {one["id"] for one in listed}
    shown = await relay.command("sandbox", "show", sent[0].id.hex)
    assert shown.startswith("DKIM-Signature: ")
    assert f"d={HOST};" in shown
    assert shown.endswith("\n\nHello.\n")
    assert "sandboxed" in [event["kind"] for event in await relay.events(sent[0])]


async def test_T11_a_confirmed_address_gets_it_where_the_profile_says_so(
    relay: SharedRelay,
) -> None:
    """Its owner has told the code that was mailed to it."""
    await relay.command("account", "create", "tries")
    await relay.profile("tries", "ours", "native", "sandbox.deliver_to_confirmed=true")
    login, sender = await relay.login("tries", "ours"), f"jo@{SANDBOX}"
    await relay.command("account", "confirm", "tries", ANN)
    code = re.search(rb"\r\n  ([0-9a-f]{16})\r\n", (await _code_mail(relay)).content)
    assert code is not None
    await relay.command("account", "confirm", "tries", ANN, "--code", code[1].decode())
    sent = await relay.submit(login, sender, [ANN, BOB], text(author=sender))
    arrived = await relay.arrived(sent)
    assert [ANN] == list(arrived)
    assert f"d={HOST};".encode() in arrived[ANN].content
    (kept,) = json.loads(await relay.command("sandbox", "list", "--account", "tries", "--json"))
    assert ([ANN, BOB], [ANN]) == (kept["recipients"], kept["delivered_to"])


async def _code_mail(relay: SharedRelay) -> Arrival:
    def found() -> list[Arrival]:
        return [a for a in relay.sink.arrivals if b"May tries send you test" in a.content]

    async def came() -> bool:
        return bool(found())

    await eventually(came)
    return found()[0]
