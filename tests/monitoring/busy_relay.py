"""A relay under load of every kind that the dashboards show."""

import asyncio
import json
import re
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import aiosmtplib
from bench.sink_session import Manners, Refusal

from e2e.test_http import caller
from servers.returned_mail import feedback_report
from servers.shared_relay import Login, Refused, SharedRelay
from servers.tracking_server import ask, asked

LANES = ("very-high", "high", "normal", "low", "bulk")
TRACKING = "https://t.relay.example"
MANNERS = Manners(
    keep=True,
    refusals=(
        Refusal("gone*", "550 5.1.1 No such user"),
        Refusal("later*", "451 4.7.1 Greylisted, try again later"),
    ),
)
SETTINGS = {
    "POSTHOUSE_TRACKING_URL": TRACKING,
    "POSTHOUSE_DSN_GATHER_SECONDS": "0.1",
    "POSTHOUSE_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    "POSTHOUSE_INGEST_CONNECTIONS_PER_CREDENTIAL": "2",
}
_NOBODY = "https://127.0.0.1:9/hook"  # an endpoint that fails is one to be shown
_GUESSES = 11  # more than one user may make at an address
_TRACKED = {"X-MT-ATTR": {"optionsAttributes": {"openTracking": True, "clickTracking": True}}}
_HTML = '<html><body><p><a href="https://shop.example/">Sale</a></body></html>'


@dataclass
class BusyRelay:
    """The relay, its users and what hears of events."""

    relay: SharedRelay
    users: dict[str, Login]  # by lane
    tracked: Login
    key: Login
    limited: Login  # to a message an hour

    @classmethod
    async def of(cls, relay: SharedRelay) -> "BusyRelay":
        """Make accounts, users and an endpoint for events."""
        await relay.domain("shop", "shop.example")
        await relay.command("webhook", "add", _NOBODY, "--account", "shop")
        users = {
            lane: await relay.login("shop", "native", "--lane", lane, "--highest-lane", "very-high")
            for lane in LANES
        }
        await relay.domain("brand", "brand.example")
        tracked = await relay.login("brand", "mailtarget")
        key = await relay.login("shop", "native", "--permission", "http")
        await relay.domain("small", "small.example")
        await relay.command("account", "limit", "small", "--messages", "1/hour")
        limited = await relay.login("small", "native")
        return cls(relay, users, tracked, key, limited)

    async def round(self, number: int) -> None:
        """Some of everything, and return when it is through."""
        for user in self.users.values():
            for recipient in ("ann@gmail.com", f"gone{number}@outlook.com", "later@dest.example"):
                await self.relay.submit(user, "app@shop.example", [recipient], _message(number))
        await self._is_refused()
        await self._turns_away()
        await self._by_http(number)
        await self._is_read(number)
        await self._returns(number)

    async def _is_refused(self) -> None:
        user = self.users["normal"]
        with suppress(Refused):
            await self.relay.submit(user, "app@elsewhere.example", ["a@dest.example"], _message(0))
        with suppress(Refused):
            for _ in range(2):
                await self.relay.submit(
                    self.limited,
                    "app@small.example",
                    ["a@dest.example"],
                    _message(0, "app@small.example"),
                )

    async def _turns_away(self) -> None:
        """Who guesses, has too many sessions, or does not speak TLS."""
        for _ in range(_GUESSES):
            with suppress(aiosmtplib.SMTPException):
                await self.relay.session(Login("guessed", "wrong"))
        async with AsyncExitStack() as sessions:
            with suppress(aiosmtplib.SMTPException):
                for _ in range(3):
                    client = await self.relay.session(self.users["normal"])
                    sessions.callback(client.close)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.relay.port)
        writer.write(b"EHLO app.example\r\nSTARTTLS\r\n")
        await reader.readuntil(b"\n220 ")
        await reader.readline()
        writer.write(b"This is no handshake.\r\n")
        await reader.read()
        writer.close()

    async def _by_http(self, number: int) -> None:
        call = caller(self.relay.ports["http"], f"{self.key.username}.{self.key.secret}")
        mail = {
            "from": "app@shop.example",
            "to": "bo@gmail.com",
            "subject": f"{number}",
            "text": "x",
        }
        status, said = await asyncio.to_thread(call, "POST", "/v1/messages", mail)
        assert status == 202, said

    async def _is_read(self, number: int) -> None:
        """A recipient opens, clicks and unsubscribes."""
        recipient = f"ann{number}@dest.example"
        fields = "".join(f"{name}: {json.dumps(value)}\r\n" for name, value in _TRACKED.items())
        content = (
            f"From: news@brand.example\r\nTo: {recipient}\r\nSubject: {number}\r\n"
            f"MIME-Version: 1.0\r\nContent-Type: text/html\r\n{fields}\r\n{_HTML}\r\n"
        )
        sent = await self.relay.submit(
            self.tracked, "news@brand.example", [recipient], content.encode()
        )
        (arrival,) = (await self.relay.arrived(sent)).values()
        for path in re.findall(rf'"{TRACKING}(/[oc]/[\w-]+)"', arrival.content.decode()):
            await ask(self.relay.tracking, path, user_agent=f"Mozilla/5.0 Gecko Firefox/{number}")
        (page,) = re.findall(rf"<{TRACKING}(/u/[\w-]+)>", arrival.content.decode())
        head = f"POST {page} HTTP/1.1\r\nHost: t.relay.example\r\nConnection: close\r\n"
        form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 26\r\n\r\n"
        await asked(self.relay.tracking, f"{head}{form}List-Unsubscribe=One-Click".encode())

    async def _returns(self, number: int) -> None:
        """A complaint, a bounce in words, mail for nobody, and a forged complaint."""
        sent = await self.relay.submit(
            self.users["normal"], "app@shop.example", [f"c{number}@dest.example"], _message(number)
        )
        (arrival,) = (await self.relay.arrived(sent)).values()
        ours = next(
            line + b"\n" for line in arrival.content.split(b"\r\n") if b"X-Posthouse-Id:" in line
        ).decode()
        at = self.relay.bounces
        for content, to in (
            (feedback_report(ours, number=number), "abuse@relay.example"),
            (feedback_report("X-Posthouse-Id: none\n", number=number), "abuse@relay.example"),
            (_message(number), arrival.sender),
            (_message(number), "nobody@relay.example"),
        ):
            with suppress(aiosmtplib.SMTPResponseException, aiosmtplib.SMTPRecipientsRefused):
                await aiosmtplib.send(
                    content,
                    sender="fbl@dest.example",
                    recipients=[to],
                    hostname=at.host,
                    port=at.port,
                    start_tls=False,
                )


def _message(number: int, author: str = "app@shop.example") -> bytes:
    return f"From: {author}\r\nTo: x@y.example\r\nSubject: {number}\r\n\r\nx\r\n".encode()


def open_to_others(folder: Path) -> Path:
    """*folder*, which the database's user may enter."""
    folder.chmod(0o711)
    return folder
