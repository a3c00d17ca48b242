"""An SMTP server that accepts all mail and keeps the newest: the destination of the demo.

`nobody@` is refused at once. `gone@` is accepted, and reported to the return path afterwards.
"""

import asyncio
import json
import smtplib
import time
from collections import deque
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import structlog

from demo.non_delivery import non_delivery
from posthouse.mail.address import Address
from posthouse.mail.reply import Reply
from posthouse.running.tcp import Endpoint
from posthouse.smtp.commands import Mail
from posthouse.smtp.data import Flaw
from posthouse.smtp.server import SmtpServer
from posthouse.smtp.session_state import DataRequest, MessageReceived, ServerConfig

log = structlog.get_logger()

_KEPT = 5_000  # messages
_MOST_OCTETS = 50 << 20  # of a message
_READ_OCTETS = 65_536  # at once
_IDLE_SECONDS = 300.0
_SMTP_SECONDS = 10
_NAME = "sink.posthouse.example"


@dataclass(frozen=True, slots=True)
class Received:
    """A message that was taken; times in seconds since 1970."""

    sender: str
    recipients: tuple[str, ...]
    started: float  # when its MAIL command came
    finished: float  # when its final dot was answered
    content: bytes


class Sink:
    """Answers each message after *delay* seconds; sends reports to *bounces*, if there is one."""

    def __init__(self, *, delay: float, bounces: Endpoint | None) -> None:
        self._config = ServerConfig(
            _NAME, _MOST_OCTETS, requires_auth=False, refuse_recipient=self._refuse
        )
        self._delay = delay
        self._bounces = bounces
        self._received: deque[Received] = deque(maxlen=_KEPT)
        self._refused: deque[str] = deque(maxlen=_KEPT)
        self._reports: set[asyncio.Future[None]] = set()
        self._servers = AsyncExitStack()

    async def open(self, smtp: Endpoint, report: Endpoint) -> tuple[Endpoint, Endpoint]:
        """Listen; the address and port in use. Raises OSError."""
        takes = await asyncio.start_server(self._on_smtp, smtp.host, smtp.port, backlog=512)
        self._servers.push_async_callback(_close, takes)
        tells = await asyncio.start_server(self._on_http, report.host, report.port)
        self._servers.push_async_callback(_close, tells)
        return _address(smtp, takes), _address(report, tells)

    async def close(self) -> None:
        """Stop listening; reports that were started are still sent."""
        await self._servers.aclose()
        await asyncio.gather(*self._reports)

    async def _on_smtp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server, started = SmtpServer(self._config, lambda _, __: None), 0.0
        server.greet()
        with _until_gone(writer):
            while True:
                match server.next_event():
                    case Mail() as mail:
                        started = time.time()
                        server.accept_sender(mail)
                    case DataRequest():
                        server.begin_data()
                    case MessageReceived() as message:
                        server.answer(await self._take(message, started))
                    case _:
                        writer.write(server.take_output())
                        await writer.drain()
                        async with asyncio.timeout(_IDLE_SECONDS):
                            octets = b"" if server.state.closed else await reader.read(_READ_OCTETS)
                        if not octets:
                            return
                        server.receive(octets)

    async def _on_http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer GET /messages with the list of all, GET /messages/N with the content of one."""
        with _until_gone(writer):
            async with asyncio.timeout(_SMTP_SECONDS):
                request = await reader.readuntil(b"\r\n\r\n")
            body = self._told(request.split(b" ")[1].decode("ascii", "replace"))
            status = "404 Not Found" if body is None else "200 OK"
            body = body or b""
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()

    def _told(self, path: str) -> bytes | None:
        if path == "/messages":
            messages = [
                {
                    "number": number,
                    "sender": message.sender,
                    "recipients": message.recipients,
                    "started": message.started,
                    "finished": message.finished,
                }
                for number, message in enumerate(self._received)
            ]
            return json.dumps({"messages": messages, "refused": list(self._refused)}).encode()
        number = path.removeprefix("/messages/")
        if not number.isdecimal() or int(number) >= len(self._received):
            return None
        return self._received[int(number)].content

    async def _take(self, message: MessageReceived, started: float) -> Reply:
        """Keep *message*; recipients called gone@ are reported a moment later."""
        if isinstance(message.content, Flaw):
            return Reply(550, f"not taken: {message.content.name.lower()}", "5.6.0")
        await asyncio.sleep(self._delay)
        envelope, content = message.envelope, b"".join(message.content)
        recipients = tuple(envelope.recipients)
        kept = Received(envelope.sender, recipients, started, time.time(), content)
        self._received.append(kept)
        if kept.sender and self._bounces is not None:
            for recipient in recipients:
                if recipient.startswith("gone@"):
                    self._report(kept, recipient, self._bounces)
        return Reply(250, "taken", "2.0.0")

    def _refuse(self, recipient: Address) -> Reply | None:
        if recipient.local != "nobody":
            return None
        self._refused.append(str(recipient))
        return Reply(550, "no such mailbox here", "5.1.1")

    def _report(self, message: Received, recipient: str, to: Endpoint) -> None:
        report = non_delivery(
            recipient=recipient,
            return_path=message.sender,
            header=message.content.partition(b"\r\n\r\n")[0] + b"\r\n\r\n",
            server=_NAME,
            boundary=uuid4().hex,
            now=datetime.now(UTC),
        )
        loop = asyncio.get_running_loop()
        sending = loop.run_in_executor(None, _send_back, to, message.sender, report)
        self._reports.add(sending)
        sending.add_done_callback(self._reports.discard)


@contextmanager
def _until_gone(writer: asyncio.StreamWriter) -> Iterator[None]:
    """Close the connection of clients that hang up, time out or send endless HTTP headers."""
    try:
        yield
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return
    finally:
        writer.close()


async def _close(server: asyncio.Server) -> None:
    server.close()
    await server.wait_closed()


def _address(asked: Endpoint, server: asyncio.Server) -> Endpoint:
    return Endpoint(asked.host, server.sockets[0].getsockname()[1])


def _send_back(to: Endpoint, return_path: str, report: bytes) -> None:
    try:
        with smtplib.SMTP(to.host, to.port, timeout=_SMTP_SECONDS) as client:
            client.sendmail("", [return_path], report)
    except (OSError, smtplib.SMTPException) as error:
        log.warning("report_not_sent", to=str(to), reason=str(error))
