"""What is wrong with a message is said clearly, to whom it concerns, and loses nothing."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import aiosmtplib
import asyncpg
import pytest
import pytest_asyncio
from bench.sink import Sink
from bench.sink_session import Manners

from chaos.knock import knock
from chaos.ledger import Ledger
from chaos.relay import SENDER_DOMAIN, Onebox
from posthouse.store.postgres import Postgres
from posthouse.store.timeline import Timeline, TimelineStore
from servers.dns_stub import DnsStub, dns_stub
from servers.patience import eventually

LARGEST = 100_000
SENDER = f"news@{SENDER_DOMAIN}"
SOMEBODY = "ann@dest.example"


@dataclass(frozen=True, slots=True)
class Setting:
    """A relay, what it sends to, and the names it can look up."""

    relay: Onebox
    sink: Sink
    dns: DnsStub

    async def timeline(self, reply: str) -> Timeline:
        """What became of the message that was accepted with *reply*."""
        async with Postgres(self.relay.database_url, connections=1) as database:
            story = await TimelineStore(database).of_submission(UUID(reply.rsplit(maxsplit=1)[-1]))
        assert story is not None
        return story

    async def change(self, statement: str, *arguments: Any) -> Any:
        """Do something to the database behind the relay's back; the first value it gives."""
        connection = await asyncpg.connect(self.relay.database_url)
        try:
            return await connection.fetchval(statement, *arguments)
        finally:
            await connection.close()

    async def settled(self) -> bool:
        """Nothing is left to do."""
        return not await Ledger(self.relay.database_url).open_items()


@pytest_asyncio.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    """A onebox that knows the way to dest.example and asks a name server about all others."""
    async with dns_stub(DnsStub({})) as dns:
        relay = Onebox(
            tmp_path,
            {
                "POSTHOUSE_NAMESERVERS": dns.address,
                "POSTHOUSE_INGEST_MESSAGE_OCTETS": str(LARGEST),
            },
            destination="dest.example",
        )
        try:
            await relay.start()
            async with Sink(Manners(keep=True), port=relay.sink_port) as sink:
                yield Setting(relay, sink, dns)
        finally:
            await relay.close()


async def test_a_domain_that_does_not_exist_bounces_at_once_and_suppresses_when_gone_twice(
    setting: Setting,
) -> None:
    listed = "SELECT count(*) FROM suppressions WHERE COALESCE(expires_at > now(), true)"
    reply = await knock(setting.relay.customer.normal, recipient="a@no-such-domain.example")
    await eventually(setting.settled)

    story = await setting.timeline(reply)
    assert ["accepted", "prepared", "bounced"] == [event["kind"] for event in story.events]
    detail = story.events[-1]["detail"]
    assert (550, "5.1.2") == (detail["code"], detail["enhanced"])
    assert "the domain no-such-domain.example does not exist" == detail["reply"]
    assert ("no-such-domain.example", "MX") in setting.dns.questions
    assert await setting.change(listed) == 0

    again = await knock(setting.relay.customer.normal, recipient="a@no-such-domain.example")
    await eventually(setting.settled)

    assert "bounced" in [event["kind"] for event in (await setting.timeline(again)).events]
    assert await setting.change(listed) == 1


async def test_what_the_door_refuses_is_said_and_the_session_goes_on(setting: Setting) -> None:
    """Each mistake has a reply of its own; the next message of the same session is taken."""
    door = setting.relay.customer.normal
    async with aiosmtplib.SMTP(hostname=door.host, port=door.port, start_tls=False) as client:
        await client.login(door.user, door.secret)
        with pytest.raises(aiosmtplib.SMTPSenderRefused, match=r"5\.3\.4 .*100000 octets"):
            await client.mail(SENDER, options=[f"size={LARGEST + 1}"])
        with pytest.raises(aiosmtplib.SMTPSenderRefused, match=r"5\.7\.1 .*other\.example"):
            await client.mail("news@other.example")
        await client.mail(SENDER)
        with pytest.raises(aiosmtplib.SMTPRecipientRefused, match=r"5\.1\.3 .*nobody"):
            await client.rcpt("nobody@")
        await client.rcpt(SOMEBODY)
        with pytest.raises(aiosmtplib.SMTPDataError, match=r"5\.3\.4 .*100000 octets"):
            await client.data(content(b"x" * 70 + b"\r\n", LARGEST // 72 + 1))

        await client.mail(SENDER)
        await client.rcpt(SOMEBODY)
        await client.data(content(b"Hello.\r\n"))
    await eventually(setting.settled)

    assert await setting.change("SELECT count(*) FROM submissions") == 1
    assert [(SOMEBODY,)] == [arrival.recipients for arrival in setting.sink.arrivals]


async def test_a_broken_dkim_key_sends_nothing_unsigned_and_loses_nothing(
    setting: Setting,
) -> None:
    """The message waits for the key to be put right, with the reason on record."""
    right = await setting.change("SELECT sealed FROM dkim_keys WHERE algorithm = 'rsa-sha256'")
    replace_key = "UPDATE dkim_keys SET sealed = $1 WHERE algorithm = 'rsa-sha256'"
    await setting.change(replace_key, b"not a key")
    reply = await knock(setting.relay.customer.normal)
    assert reply.startswith("250 ")

    async def reason_told() -> bool:
        return f"a DKIM key of {SENDER_DOMAIN} cannot be opened" in setting.relay.program.said()

    await eventually(reason_told)
    assert [] == setting.sink.arrivals
    assert not await setting.settled()

    await setting.change(replace_key, right)
    await setting.relay.program.stop()
    await setting.relay.program.start()
    await eventually(setting.settled)
    (arrival,) = setting.sink.arrivals
    assert arrival.content.count(b"DKIM-Signature: ") == 2


def content(body: bytes, times: int = 1) -> bytes:
    """A message with *body* repeated."""
    return f"From: {SENDER}\r\nX-Bench-Id: 1\r\n\r\n".encode() + body * times
