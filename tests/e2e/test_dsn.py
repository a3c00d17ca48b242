"""Parameters of DSN from client to report, through the relay as it runs (RFC 3461)."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiosmtplib
import asyncpg

from chaos.relay import SENDER_DOMAIN, Onebox
from servers.mx import Mx, Peer, mx
from servers.patience import eventually
from servers.ports import lasting_ports

SENDER = f"news@{SENDER_DOMAIN}"
DELIVERED = """\
From: postmaster@one.example
Subject: Delivered
Auto-Submitted: auto-replied
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

It was delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.one.example

Final-Recipient: rfc822; ann@one.example
Action: delivered
Status: 2.1.5

--b--
""".replace("\n", "\r\n")


@dataclass
class Relayed:
    """A relay, the one host that its mail goes to, and its database."""

    relay: Onebox
    host: Mx
    bounces: int
    database: Any

    async def submit(self, recipient: str, *asked: str, body: str = "Body.") -> None:
        """Submit a message with these parameters of RCPT."""
        door = self.relay.customer.normal
        text = f"From: {SENDER}\r\nSubject: Hello\r\n\r\n{body}\r\n"
        async with aiosmtplib.SMTP(
            hostname=door.host, port=door.port, username=door.user, password=door.secret
        ) as client:
            await client.sendmail(
                SENDER,
                [recipient],
                text.encode(),
                mail_options=["RET=FULL", "ENVID=QQ+2B31", "BODY=8BITMIME"],
                rcpt_options=[*asked, f"ORCPT=rfc822;Alias+40{recipient.partition('@')[2]}"],
            )

    def reports(self) -> list[EmailMessage]:
        """What the sender has got from us."""
        found = (message_from_bytes(m, policy=policy.default) for m in self.host.messages)
        return [message for message in found if message.get_content_type() == "multipart/report"]

    async def reported(self, count: int) -> EmailMessage:
        """The report of that number."""

        async def come() -> bool:
            return len(self.reports()) >= count

        await eventually(come, within=30)
        return self.reports()[count - 1]

    async def happened(self, kind: str, recipient: str) -> None:
        """Wait for an event about *recipient*."""

        async def so() -> bool:
            return bool(
                await self.database.fetchval(
                    "SELECT count(*) FROM events e JOIN deliveries v ON v.id = e.delivery_id"
                    " WHERE e.kind = $1 AND v.recipient = $2",
                    kind,
                    recipient,
                )
            )

        await eventually(so, within=30)


def host(*extensions: str) -> Any:
    """A server that refuses nobody@, is never ready for slow@, and takes all else."""

    async def manners(peer: Peer) -> None:
        await peer.greet("PIPELINING", *extensions)
        refusals = {"nobody@": "550 5.1.1 no such user", "slow@": "451 4.7.1 later"}
        refused = None
        while (line := await peer.hear()) not in ("", "QUIT"):
            if line == "DATA" and refused:
                await peer.say("554 5.5.1 no valid recipients")
            elif line == "DATA":
                await peer.say("354 go")
                peer.mx.messages.append(await peer.take_content())
                await peer.say("250 2.0.0 queued")
            else:
                says = (say for name, say in refusals.items() if f"RCPT TO:<{name}" in line)
                refused = next(says, None)
                await peer.say(refused or "250 2.0.0 Ok")

    return manners


@asynccontextmanager
async def relaying(folder: Path, *extensions: str) -> AsyncIterator[Relayed]:
    (bounces,) = lasting_ports(1)
    settings = {
        "POSTHOUSE_WORKERS": "1",
        "POSTHOUSE_BOUNCES_LISTEN": f"127.0.0.1:{bounces}",
        "POSTHOUSE_DSN_GATHER_SECONDS": "0.1",
    }
    relay = Onebox(folder, settings)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(mx(host(*extensions), port=relay.sink_port))
        stack.push_async_callback(relay.close)
        await relay.start()
        database = await asyncpg.connect(relay.database_url)
        stack.push_async_callback(database.close)
        yield Relayed(relay, server, bounces, database)


def fields(report: EmailMessage) -> tuple[dict[str, str], dict[str, str]]:
    """Those of the message, and of its one recipient."""
    (part,) = [p for p in report.walk() if p.get_content_type() == "message/delivery-status"]
    of_message, of_recipient = (dict(group.items()) for group in part.iter_parts())
    return of_message, of_recipient


def check(report: EmailMessage, recipient: str, action: str) -> None:
    """Whom and what it is about, and that what was given has come back."""
    of_message, one = fields(report)
    domain = recipient.partition("@")[2]
    assert "QQ+31" == of_message["Original-Envelope-Id"]
    assert f"rfc822; Alias@{domain}" == one["Original-Recipient"]
    assert (f"rfc822; {recipient}", action) == (one["Final-Recipient"], one["Action"])


async def test_where_the_next_host_offers_dsn_it_is_asked_and_its_report_is_passed_on(
    tmp_path: Path,
) -> None:
    async with relaying(tmp_path, "DSN") as relayed:
        await relayed.submit("ann@one.example", "NOTIFY=SUCCESS,FAILURE")
        await relayed.happened("delivered", "ann@one.example")
        mail, rcpt = [line for line in relayed.host.heard if line.startswith(("MAIL", "RCPT"))]
        assert mail.endswith(" RET=FULL ENVID=QQ+2B31")
        asked = "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Alias@one.example"
        assert rcpt == f"RCPT TO:<ann@one.example> {asked}"
        assert [] == relayed.reports()  # now it is for the next host to say so

        found = re.match("MAIL FROM:<([^>]+)>", mail)
        assert found is not None
        async with aiosmtplib.SMTP(
            hostname="127.0.0.1", port=relayed.bounces, start_tls=False
        ) as client:
            await client.sendmail("", [found[1]], DELIVERED.encode())
        report = await relayed.reported(1)
        check(report, "ann@one.example", "delivered")
        assert "2.1.5" == fields(report)[1]["Status"]


async def test_where_it_does_not_we_report_what_was_asked_for_and_nothing_else(
    tmp_path: Path,
) -> None:
    async with relaying(tmp_path) as relayed:
        await relayed.submit("ann@one.example", "NOTIFY=SUCCESS")
        check(await relayed.reported(1), "ann@one.example", "relayed")
        assert not any("NOTIFY" in line or "ENVID" in line for line in relayed.host.heard)

        await relayed.submit("nobody@two.example", "NOTIFY=NEVER")
        await relayed.submit("nobody@three.example", "NOTIFY=SUCCESS,DELAY")
        for silent in ("two", "three"):
            await relayed.happened("bounced", f"nobody@{silent}.example")
        await relayed.submit("nobody@four.example", "NOTIFY=FAILURE")
        report = await relayed.reported(2)
        check(report, "nobody@four.example", "failed")
        (returned,) = [p for p in report.walk() if p.get_content_type() == "message/rfc822"]
        assert "Body." in returned.as_string()

        await relayed.submit("nobody@four.example", "NOTIFY=FAILURE", body="Grüße")  # on a list
        report = await relayed.reported(3)
        check(report, "nobody@four.example", "failed")
        (returned,) = [p for p in report.walk() if p.get_content_type() == "message/rfc822"]
        assert "Gr=C3=BC=C3=9Fe" in returned.as_string()  # it takes no 8-bit content

        await relayed.submit("slow@five.example", "NOTIFY=DELAY")
        await relayed.happened("deferred", "slow@five.example")
        await relayed.database.execute(
            "UPDATE due_deliveries SET received_at = now() - interval '5 h', due_at = now()"
        )
        check(await relayed.reported(4), "slow@five.example", "delayed")
        assert 4 == len(relayed.reports())
