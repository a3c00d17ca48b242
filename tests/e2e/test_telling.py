"""A sender hears of its failures from the relay as it runs, and nobody hears of those of a DSN."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import UUID

import aiosmtplib
import asyncpg

from chaos.relay import SENDER_DOMAIN, Onebox, Split
from demo.checks import signatures
from demo.sink import Sink
from posthouse.running.tcp import Endpoint
from servers.patience import eventually
from servers.ports import lasting_ports
from servers.rabbitmq import RabbitServer

SENDER = f"news@{SENDER_DOMAIN}"
DEAD = f"nobody@{SENDER_DOMAIN}"  # the sink refuses every nobody@


@dataclass
class Told:
    """A relay with two workers, the sink that all its mail goes to, and its database."""

    relay: Onebox | Split
    sink: Sink
    database: Any

    async def submit(self, sender: str, *recipients: str) -> UUID:
        """Submit a message; its number, as the reply names it."""
        door = self.relay.customer.normal
        text = (
            f"From: {SENDER}\r\nMessage-ID: <{recipients[0]}>\r\nSubject: Hello\r\n\r\nHello.\r\n"
        )
        async with aiosmtplib.SMTP(
            hostname=door.host, port=door.port, username=door.user, password=door.secret
        ) as client:
            _, said = await client.sendmail(sender, recipients, text.encode())
        return UUID(said.split()[-1])

    async def reports(self, to: str = SENDER) -> list[EmailMessage]:
        """What *to* has got from us."""
        return [
            message_from_bytes(message.content, policy=policy.default)
            for message in self.sink._received
            if message.sender == "" and message.recipients == (to,)
        ]

    async def has(self, count: int) -> list[EmailMessage]:
        """Wait for that many reports."""

        async def come() -> bool:
            return len(await self.reports()) >= count

        await eventually(come, within=30)
        return await self.reports()

    async def value(self, statement: str, *arguments: object) -> Any:
        """The one value that *statement* gives."""
        return await self.database.fetchval(statement, *arguments)


@asynccontextmanager
async def telling(folder: Path, **settings: str) -> AsyncIterator[Told]:
    (bounces,) = lasting_ports(1)
    given = {
        "POSTHOUSE_WORKERS": "2",
        "POSTHOUSE_BOUNCES_LISTEN": f"127.0.0.1:{bounces}",
        "POSTHOUSE_DSN_GATHER_SECONDS": "1",
    }
    relay = Onebox(folder, {**given, **settings})
    sink = Sink(delay=0, bounces=Endpoint("127.0.0.1", bounces))
    await sink.open(Endpoint("127.0.0.1", relay.sink_port), Endpoint("127.0.0.1", 0))
    try:
        await relay.start()
        database = await asyncpg.connect(relay.database_url)
        told = Told(relay, sink, database)
        yield told
        await told.database.close()
    finally:
        await sink.close()
        await relay.close()


async def test_a_refused_recipient_is_reported_to_the_sender_signed_and_once(
    tmp_path: Path,
) -> None:
    """Refused at RCPT, returned later, suppressed: each is a report, and none about a report."""
    async with telling(tmp_path) as told:
        number = await told.submit(SENDER, "nobody@one.example", "nobody@two.example")
        (report,) = await told.has(1)
        published = {
            f"{row['selector']}._domainkey.{row['name']}": row["record"]
            for row in await told.database.fetch(
                "SELECT selector, name, record FROM dkim_keys"
                " JOIN sending_domains d ON d.id = domain_id"
            )
        }
        (raw,) = [m.content for m in told.sink._received if m.recipients == (SENDER,)]
        assert signatures(raw, published).holds, signatures(raw, published).seen
        assert f"mailer-daemon@{SENDER_DOMAIN}" == report["From"].addresses[0].addr_spec
        assert ("multipart/report", "<nobody@one.example>", "auto-replied") == (
            report.get_content_type(), report["In-Reply-To"], report["Auto-Submitted"],
        )  # fmt: skip
        assert all(report[name] for name in ("Date", "Message-ID", "Received"))
        kinds = [part.get_content_type() for part in report.iter_parts()]
        assert ["text/plain", "message/delivery-status", "text/rfc822-headers"] == kinds
        words = next(report.iter_parts()).get_content()
        assert number.hex in words
        assert "550 5.1.1 no such mailbox here" in words

        await told.submit(SENDER, "gone@one.example")  # taken, and returned afterwards
        await told.submit(SENDER, "nobody@one.example")  # suppressed by now
        reports = await told.has(3)
        statuses = {
            str(group["Status"])
            for later in reports[1:]
            for part in later.walk()
            if part.get_content_type() == "message/delivery-status"
            for group in part.iter_parts()
            if group["Status"]
        }
        assert {"5.1.1", "5.7.1"} == statuses

        await told.submit(DEAD, "nobody@three.example")  # the sender is dead, too

        async def refused() -> bool:
            return bool(
                await told.value(
                    "SELECT count(*) = 1 FROM events e JOIN submissions s ON s.id = e.submission_id"
                    " WHERE s.sender = '' AND e.kind = 'bounced' AND $1 = ANY(s.recipients)",
                    DEAD,
                )
            )

        await eventually(refused, within=30)
        await asyncio.sleep(3)
        assert 4 == await told.value("SELECT count(*) FROM submissions WHERE sender = ''")
        assert 0 == await told.value("SELECT count(*) FROM untold_failures")
        assert 3 == len(await told.reports())


async def test_a_relay_that_is_killed_tells_what_it_still_had_to_tell_and_tells_it_once(
    tmp_path: Path,
) -> None:
    async with telling(tmp_path, POSTHOUSE_DSN_GATHER_SECONDS="600") as told:
        for number in range(5):
            await told.submit(SENDER, f"nobody@d{number}.example")

        async def noted() -> bool:
            return bool(await told.value("SELECT count(*) = 5 FROM untold_failures"))

        await eventually(noted, within=30)
        await told.database.close()
        assert isinstance(told.relay, Onebox)
        await told.relay.program.kill()
        assert [] == await told.reports()
        await told.relay.program.start()
        told.database = await asyncpg.connect(told.relay.database_url)
        await told.database.execute("UPDATE untold_failures SET due_at = now()")
        await told.has(5)
        await asyncio.sleep(2)
        assert 5 == len(await told.reports())
        assert 5 == await told.value("SELECT count(*) FROM events WHERE kind = 'notified'")


async def test_of_two_bounces_processes_one_tells(
    rabbitmq_server: RabbitServer, tmp_path: Path
) -> None:
    """Each service a process of its own, woken by RabbitMQ; one of the two is killed on the way."""
    settings = {"POSTHOUSE_DSN_GATHER_SECONDS": "1"}
    relay = Split(tmp_path, rabbitmq_server.url, None, copies=2, settings=settings)
    sink = Sink(delay=0, bounces=None)
    await sink.open(Endpoint("127.0.0.1", relay.sink_port), Endpoint("127.0.0.1", 0))
    try:
        await relay.start()
        database = await asyncpg.connect(relay.database_url)
        told = Told(relay, sink, database)
        for number in range(5):
            await told.submit(SENDER, f"nobody@d{number}.example")
        await relay.programs["bounces"].kill()
        for number in range(5, 10):
            await told.submit(SENDER, f"nobody@d{number}.example")
        await told.has(10)
        await asyncio.sleep(2)
        assert 10 == len(await told.reports())
        assert 10 == await told.value("SELECT count(*) FROM events WHERE kind = 'notified'")
        await database.close()
    finally:
        await sink.close()
        await relay.close()
