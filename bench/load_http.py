"""One HTTP connection of the load generator, and what it posts."""

import asyncio
import json
import ssl
from enum import StrEnum
from typing import Self, cast

from bench.load_session import CannotConnect, Door, SessionLost

_SILENCE_SECONDS = 60.0
_END = b"\r\n\r\n"


class Form(StrEnum):
    """How a message is posted."""

    RAW = "raw"  # as it is
    JSON = "json"  # described
    SENDGRID = "sendgrid"  # as to SendGrid

    def head(self, door: Door, octets: int) -> bytes:
        """The head of a request whose body has *octets*."""
        media_type = "message/rfc822" if self is Form.RAW else "application/json"
        path = "/v3/mail/send" if self is Form.SENDGRID else "/v1/messages"
        return (
            f"POST {path} HTTP/1.1\r\nHost: {door.host}\r\n"
            f"Authorization: Bearer {door.user}.{door.secret}\r\n"
            f"Content-Type: {media_type}\r\nContent-Length: {octets}\r\n\r\n"
        ).encode()


def described(size: int, sender: str, recipient: str) -> bytes:
    """JSON of *size* octets: text, HTML with letters beyond ASCII, names and a tag."""
    html = "<p>Größe, und <b>sonst</b> alles wie immer: viel Text.</p>\n"
    rest = size - 600
    value = {
        "from": {"email": sender, "name": "Jö Müller"},
        "to": [f"Ann <{recipient}>"],
        "subject": "Grüße aus Köln",
        "text": "Some lines of text, as people write them.\n" * (rest // 3 // 42),
        "html": html * (rest * 2 // 3 // len(html.encode())),
        "tags": ["welcome"],
        "metadata": {"order": 1},
    }
    return json.dumps(value, ensure_ascii=False).encode()


def as_sendgrid(native: bytes) -> bytes:
    """What `described` made, as SendGrid's API has it."""
    given = json.loads(native)
    name, _, email = given["to"][0].rstrip(">").partition(" <")
    value = {
        "personalizations": [{"to": [{"email": email, "name": name}]}],
        "from": given["from"],
        "subject": given["subject"],
        "content": [
            {"type": "text/plain", "value": given["text"]},
            {"type": "text/html", "value": given["html"]},
        ],
        "categories": given["tags"],
        "custom_args": {"order": "1"},
    }
    return json.dumps(value, ensure_ascii=False).encode()


class HttpSession(asyncio.Protocol):
    """Sends one request at a time and waits for its answer."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._input = b""
        self._answer: asyncio.Future[int] | None = None
        self._lost = False

    @classmethod
    async def open(cls, door: Door) -> Self:
        """A session that is ready for its first message. Raises CannotConnect."""
        loop, name = asyncio.get_running_loop(), door.host if door.tls else None
        try:
            _, session = await loop.create_connection(
                cls, door.host, door.port, ssl=door.tls, server_hostname=name
            )
        except (OSError, ssl.SSLError) as error:
            raise CannotConnect(f"{door.host}:{door.port}: {error}") from error
        return session

    async def send(self, envelope: tuple[bytes, ...], text: bytes) -> int:
        """Post *text*; *envelope* is the head of the request. The status. Raises SessionLost."""
        if self._lost:
            raise SessionLost("the other side closed")
        self._answer = self._loop.create_future()
        self._transport.write(b"".join((*envelope, text)))
        silent = self._loop.call_later(_SILENCE_SECONDS, self._transport.abort)
        try:
            return await self._answer
        finally:
            silent.cancel()

    async def quit(self) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake the waiting caller."""
        self._lost = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(SessionLost(str(exc or "the other side closed")))

    def data_received(self, data: bytes) -> None:
        """Take a whole answer; each says how many octets its body has."""
        self._input += data
        head, end, body = self._input.partition(_END)
        if not end or self._answer is None or self._answer.done():
            return
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if len(body) >= int(length):
            self._input = body[int(length) :]
            self._answer.set_result(int(head[9:12]))
