"""One SMTP connection of the load generator: as little work per message as possible."""

import asyncio
import base64
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Self, cast

# A relay that is silent for this long has lost the message.
_SILENCE_SECONDS = 60.0
_PERMANENT = 500


class CannotConnect(Exception):
    """No conversation could be started; the text says why."""


class SessionLost(Exception):
    """The connection ended before the reply came."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where to connect, and how to log in."""

    host: str
    port: int
    user: str = ""  # AUTH PLAIN with it; "": no login
    secret: str = ""
    tls: ssl.SSLContext | None = None  # STARTTLS, or HTTPS, with it; None: in clear


def any_certificate() -> ssl.SSLContext:
    """TLS that takes any certificate: those here are made for the test."""
    return ssl._create_unverified_context()  # noqa: S323, SLF001 -- encryption is measured, not trust


class Session(asyncio.Protocol):
    """Sends one command, or one group of them, at a time and waits for the replies."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._input = b""
        self._codes: list[int] = []
        self._said: list[bytes] | None = None  # lines of replies, while a caller wants to read them
        self._pipelining = True  # wanted, and after EHLO: also offered
        self._wanted = 0
        self._answer: asyncio.Future[list[int]] | None = None
        self._lost = False
        self._asked = self._loop.time()
        self._watch: asyncio.TimerHandle | None = None

    @classmethod
    async def open(cls, door: Door, *, pipelining: bool = True) -> Self:
        """A session that is ready for its first message. Raises CannotConnect.

        With *pipelining* commands go together if the server offers that.
        """
        loop = asyncio.get_running_loop()
        try:
            _, session = await loop.create_connection(cls, door.host, door.port)
        except OSError as error:
            raise CannotConnect(f"{door.host}:{door.port}: {error}") from error
        session._pipelining = pipelining  # noqa: SLF001 -- ours
        try:
            await session.enter(door)
        except (SessionLost, ssl.SSLError) as error:
            session.close()
            raise CannotConnect(f"{door.host}:{door.port}: {error}") from error
        return session

    async def send(self, envelope: tuple[bytes, ...], text: bytes) -> int:
        """Send one message; the code of the final reply. Raises SessionLost.

        *envelope* is MAIL, RCPT (once or more) and DATA; *text* ends with the dot's line.
        """
        if self._pipelining:
            codes = await self._ask(b"".join(envelope), len(envelope))
        else:
            codes = [(await self._ask(command, 1))[0] for command in envelope]
        if codes[-1] == 354:
            return (await self._ask(text, 1))[0]
        await self._ask(b"RSET\r\n", 1)
        return next(code for code in codes if code >= 400)

    async def quit(self) -> None:
        """Send QUIT, and close when it is answered."""
        with suppress(SessionLost):
            await self._ask(b"QUIT\r\n", 1)
        if self._watch is not None:
            self._watch.cancel()
        self._transport.close()

    def close(self) -> None:
        """Send QUIT and close without waiting for the reply."""
        if self._watch is not None:
            self._watch.cancel()
        if not self._transport.is_closing():
            self._transport.write(b"QUIT\r\n")
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to watch for silence."""
        self._transport = cast("asyncio.Transport", transport)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake the waiting caller."""
        self._lost = True
        if self._watch is not None:
            self._watch.cancel()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(SessionLost(str(exc or "the other side closed")))

    def data_received(self, data: bytes) -> None:
        """Count replies; the last line of each has a space behind its code."""
        *lines, self._input = (self._input + data).split(b"\n")
        self._codes += [int(line[:3]) for line in lines if line[3:4] != b"-"]
        if self._said is not None:
            self._said += lines
        if self._answer is not None and len(self._codes) >= self._wanted:
            codes, self._codes = self._codes[: self._wanted], self._codes[self._wanted :]
            if not self._answer.done():
                self._answer.set_result(codes)
            self._answer = None

    async def enter(self, door: Door) -> None:
        """EHLO, then STARTTLS and AUTH as configured. Raises SessionLost."""
        await self._expect(b"", 220)
        await self._greet()
        if door.tls is not None:
            await self._expect(b"STARTTLS\r\n", 220)
            secure = await self._loop.start_tls(
                self._transport, self, door.tls, server_hostname=door.host
            )
            self._transport = cast("asyncio.Transport", secure)
            await self._greet()
        if door.user:
            plain = base64.b64encode(f"\0{door.user}\0{door.secret}".encode())
            await self._expect(b"AUTH PLAIN " + plain + b"\r\n", 235)

    async def _greet(self) -> None:
        self._said = []
        await self._expect(b"EHLO load.sender.example\r\n", 250)
        offered = {line[4:].strip().upper() for line in self._said}
        self._said = None
        self._pipelining = self._pipelining and b"PIPELINING" in offered

    async def _expect(self, command: bytes, wanted: int) -> None:
        (code,) = await self._ask(command, 1)
        if code != wanted:
            said = command.split()[0].decode() if command else "the connection"
            raise SessionLost(f"{said} was answered {code}")

    def _ask(self, octets: bytes, replies: int) -> "asyncio.Future[list[int]]":
        self._answer = answer = self._loop.create_future()
        if self._lost:
            answer.set_exception(SessionLost("the other side closed"))
            return answer
        self._wanted = replies
        self._asked = self._loop.time()
        if octets:
            self._transport.write(octets)
        if len(self._codes) >= replies:
            self.data_received(b"")
        return answer

    def _look(self) -> None:
        silent = self._loop.time() - self._asked
        if self._answer is not None and silent > _SILENCE_SECONDS:
            self._transport.abort()
        else:
            self._watch = self._loop.call_later(_SILENCE_SECONDS / 2, self._look)
