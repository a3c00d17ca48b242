"""What servers answer, through a whole relay: each class at RCPT, at the dot and in a report."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import Any

import aiosmtplib
import asyncpg

from chaos.relay import SENDER_DOMAIN, Onebox
from servers.mx import Mx, Peer, mx
from servers.patience import eventually
from servers.ports import lasting_ports

SENDER = f"news@{SENDER_DOMAIN}"
WHERE = ("rcpt", "dot", "report")  # where the answer comes

# The answer to a recipient whose name begins so, and whether it lists the address for good.
ANSWERS = {
    "gone": ("550 5.1.1 user unknown", True),
    "full": ("552 5.2.2 mailbox full", False),
    "disabled": ("550 5.2.1 this account is suspended", False),
    "policy": ("550 5.7.1 refused by our policy", False),
    "reputation": ("550 5.7.1 your address is on a blocklist", False),
    "content": ("554 5.6.0 this looks like spam", False),
    "callout": ("550 Sender verify failed: no such user", False),
    "relay": ("550 5.7.1 relaying denied", False),
    "large": ("552 5.3.4 message too big for this system", False),
    "unclear": ("550 no", False),
}


_REPORT = """\
From: mailer-daemon@mx.example
To: {return_path}
Subject: Undelivered Mail
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="=b"

--=b

It was not delivered.
--=b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; {recipient}
Action: failed
Status: {status}
Diagnostic-Code: smtp; {answer}

--=b--
"""


@dataclass
class Destination:
    """The server that all mail goes to: each recipient's name says how it is answered."""

    bounces: int  # the port that takes reports
    server: Mx = field(init=False)
    notices: list[bytes] = field(default_factory=list)  # to the sender

    async def manners(self, peer: Peer) -> None:
        """Answer as the recipients say; without PIPELINING, a line at a time."""
        await peer.greet("SIZE 1000000")
        sender = recipient = ""
        while (line := await peer.hear()) not in ("", "QUIT"):
            where, _, name = recipient.partition("@")[0].partition("-")
            match line[:4].upper():
                case "MAIL":
                    sender = line[11 : line.index(">")]
                    await peer.say("250 2.1.0 Ok")
                case "RCPT":
                    recipient = line[9 : line.index(">")]
                    where, _, name = recipient.partition("@")[0].partition("-")
                    await peer.say(ANSWERS[name][0] if where == "rcpt" else "250 2.1.5 Ok")
                case "DATA":
                    await peer.say("354 go")
                    content = await peer.take_content()
                    await peer.say(ANSWERS[name][0] if where == "dot" else "250 2.0.0 Ok")
                    if where == "report":
                        await self._report(sender, recipient, ANSWERS[name][0])
                    elif recipient == SENDER:
                        self.notices.append(content)
                case _:
                    await peer.say("250 2.0.0 Ok")

    async def _report(self, return_path: str, recipient: str, answer: str) -> None:
        code = re.search(r"5\.\d\.\d", answer)
        text = _REPORT.format(
            return_path=return_path,
            recipient=recipient,
            status=code[0] if code else "5.0.0",
            answer=answer,
        )
        async with aiosmtplib.SMTP(
            hostname="127.0.0.1", port=self.bounces, start_tls=False
        ) as client:
            await client.sendmail("", [return_path], text.replace("\n", "\r\n").encode())

    def reported(self) -> set[str]:
        """The recipients that the sender was told of."""
        return {
            str(group["Final-Recipient"]).removeprefix("rfc822;").strip()
            for notice in self.notices
            for part in message_from_bytes(notice).walk()
            if "Final-Recipient" in (group := part)
        }


@asynccontextmanager
async def relay(folder: Path) -> AsyncIterator[tuple[Onebox, Destination, Any]]:
    (bounces,) = lasting_ports(1)
    settings = {
        "POSTHOUSE_BOUNCES_LISTEN": f"127.0.0.1:{bounces}",
        "POSTHOUSE_DSN_GATHER_SECONDS": "1",
    }
    onebox, destination = Onebox(folder, settings), Destination(bounces)
    async with mx(destination.manners, port=onebox.sink_port):
        try:
            await onebox.start()
            database = await asyncpg.connect(onebox.database_url)
            yield onebox, destination, database
            await database.close()
        finally:
            await onebox.close()


async def submit(onebox: Onebox, *recipients: str) -> None:
    door = onebox.customer.normal
    async with aiosmtplib.SMTP(
        hostname=door.host, port=door.port, username=door.user, password=door.secret
    ) as client:
        text = f"From: {SENDER}\r\nSubject: Hello\r\n\r\nHello.\r\n"
        await client.sendmail(SENDER, recipients, text.encode())


async def count_of(database: Any, kind: str) -> int:
    """How many events of customers' mail are of that kind."""
    return int(
        await database.fetchval(
            "SELECT count(*) FROM events e JOIN submissions s ON s.id = e.submission_id"
            " WHERE e.kind = $1 AND s.sender <> ''",
            kind,
        )
    )


async def test_each_answer_wherever_it_comes_is_told_and_lists_only_who_is_gone(
    tmp_path: Path,
) -> None:
    """One message to all recipients, then one to each of those that may be listed."""
    everyone = [f"{where}-{name}@dest.example" for where in WHERE for name in ANSWERS]
    gone = {r for r in everyone if ANSWERS[r.partition("@")[0].partition("-")[2]][1]}
    async with relay(tmp_path) as (onebox, destination, database):

        async def has(kind: str, count: int) -> None:
            async def holds() -> bool:
                return await count_of(database, kind) >= count

            await eventually(holds, within=60)

        await submit(onebox, *everyone)
        await has("bounced", len(everyone))
        listed = await database.fetch("SELECT address FROM suppressions WHERE expires_at IS NULL")
        assert gone == {row["address"] for row in listed}

        async def told() -> bool:
            return destination.reported() >= set(everyone)

        await eventually(told, within=60)
        assert set(everyone) == destination.reported()

        await submit(onebox, *everyone)
        await has("suppressed", len(gone))
        reasons = await database.fetch(
            "SELECT detail->>'recipient' AS recipient FROM events WHERE kind = 'suppressed'"
        )
        assert gone == {row["recipient"] for row in reasons}
        await has("bounced", 2 * len(everyone) - len(gone))

        await database.execute("DELETE FROM suppressions")
        (first, *_) = sorted(gone)
        await submit(onebox, first)
        await has("bounced", 2 * len(everyone) - len(gone) + 1)
        assert len(gone) == await count_of(database, "suppressed")
