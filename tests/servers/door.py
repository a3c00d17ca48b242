"""A door on free ports, with an intake and a directory that remember what they were asked."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import trustme

from ingest.listeners import Listener
from ingest.service import IngestService
from ingest.session_context import Limits, SessionContext
from posthouse.mail.lane import Lane
from posthouse.mail.secret import hash_secret
from posthouse.mail.submission import Submission
from posthouse.running.certificate import Certificate
from posthouse.running.identity import new_id
from posthouse.running.tcp import Endpoint
from posthouse.store.accounts import Login
from servers.patience import on_this_machine

PEPPER = b"p" * 32
SECRET = "the secret"
PLAIN = base64.b64encode(b"\0user\0the secret").decode()
DOMAINS = frozenset({"a.example", "b.example"})

LOGIN = Login(
    account_id=UUID(int=1),
    credential_id=UUID(int=2),
    username="user",
    secret_hash=hash_secret(SECRET, PEPPER),
    profile="native",
    lane=Lane.NORMAL,
    highest_lane=Lane.VERY_HIGH,
    domains=DOMAINS,
)


@dataclass
class RememberingIntake:
    """Keeps submissions in a list, or fails as told, or waits until told to go on."""

    accepted: list[Submission] = field(default_factory=list)
    failure: Exception | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0

    def __post_init__(self) -> None:
        self.open.set()

    async def accept(self, submission: Submission) -> None:
        """As Intake promises."""
        self.asked += 1
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        self.accepted.append(submission)


@dataclass
class RememberingDirectory:
    """Knows the logins it was given."""

    logins: dict[str, Login] = field(default_factory=lambda: {"user": LOGIN})
    asked: list[str] = field(default_factory=list)
    failure: Exception | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    async def login(self, username: str) -> Login | None:
        """As Directory promises."""
        self.asked.append(username)
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return self.logins.get(username)


class Wire:
    """A client that says exactly what it is told, octet by octet if need be."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send *data* as it is."""
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self) -> str:
        """The next reply, its lines joined by newlines; "" at the end of the connection."""
        lines = []
        async with asyncio.timeout(on_this_machine(5)):
            while line := (await self.reader.readline()).decode("ascii"):
                assert line.endswith("\r\n")
                lines.append(line[:-2])
                if line[3:4] == " ":
                    break
        return "\n".join(lines)

    async def say(self, line: str) -> str:
        """Send a command and give its reply."""
        await self.send(line.encode() + b"\r\n")
        return await self.reply()

    async def log_in(self) -> None:
        """Greet and authenticate."""
        assert (await self.say("EHLO client.example")).startswith("250-")
        assert await self.say(f"AUTH PLAIN {PLAIN}") == "235 2.7.0 Authentication successful"

    async def envelope(self, sender: str = "jo@a.example", *recipients: str) -> None:
        """Give a sender and recipients that are taken."""
        assert await self.say(f"MAIL FROM:<{sender}>") == "250 2.1.0 Ok"
        for recipient in recipients or ("x@there.example",):
            assert await self.say(f"RCPT TO:<{recipient}>") == "250 2.1.5 Ok"

    async def message(self, content: bytes) -> str:
        """Send an envelope and *content*, which must end as data does; the reply to it."""
        await self.envelope()
        assert (await self.say("DATA")).startswith("354 ")
        return await self.message_end(content)

    async def message_end(self, content: bytes) -> str:
        """Send what belongs behind 354; the reply to it."""
        await self.send(content)
        return await self.reply()

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Go on encrypted."""
        assert await self.say("STARTTLS") == "220 2.0.0 Ready to start TLS"
        await self.writer.start_tls(context, server_hostname="localhost")

    async def is_closed(self) -> bool:
        """Whether the other side closed, and said nothing more before."""
        async with asyncio.timeout(on_this_machine(5)):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True


@dataclass
class Running:
    """A door that serves, and what stands behind it."""

    service: IngestService
    intake: RememberingIntake
    directory: RememberingDirectory
    stopping: asyncio.Event
    task: asyncio.Task[None]
    stack: AsyncExitStack
    room: bool = True  # on the disk

    @property
    def address(self) -> Endpoint:
        """Of the first listener."""
        return self.service.addresses[0]

    async def connect(
        self, listener: int = 0, *, tls: ssl.SSLContext | None = None, greeting: bool = True
    ) -> Wire:
        """A client of the listener of that number, the greeting read."""
        address = self.service.addresses[listener]
        reader, writer = await asyncio.open_connection(
            address.host, address.port, ssl=tls, server_hostname="localhost" if tls else None
        )
        wire = Wire(reader, writer)
        self.stack.callback(writer.close)
        if greeting:
            assert await wire.reply() == "220 mx.posthouse.example ESMTP Posthouse"
        return wire

    async def logged_in(self) -> Wire:
        """A client of the first listener that may send."""
        wire = await self.connect()
        await wire.log_in()
        return wire


class OpenDoor(Protocol):
    """Opens a door with listeners of these TLS modes and with these limits."""

    def __call__(self, *modes: str, **limits: Any) -> Awaitable[Running]:
        """Modes are those of TlsMode, limits those of Limits."""


QUICK = Limits(login_failure_seconds=0.0)


@asynccontextmanager
async def running_door(
    modes: tuple[str, ...], certificate: Certificate, limits: Limits
) -> AsyncIterator[Running]:
    """A door with a listener for each of *modes*."""
    intake, directory = RememberingIntake(), RememberingDirectory()
    running: Running
    service = IngestService(
        [Listener.parse(f"127.0.0.1:0/{mode}") for mode in modes],
        SessionContext.new(
            hostname="mx.posthouse.example",
            intake=intake,
            directory=directory,
            pepper=PEPPER,
            tls=certificate.context,
            new_id=new_id,
            clock=asyncio.get_running_loop().time,
            has_room=lambda: running.room,
            limits=limits,
        ),
    )
    service.bind()
    stopping = asyncio.Event()
    task = asyncio.create_task(service.run(stopping))
    async with AsyncExitStack() as stack:
        running = Running(service, intake, directory, stopping, task, stack)
        yield running
    stopping.set()
    intake.open.set()
    async with asyncio.timeout(on_this_machine(5)):
        await running.task


def write_certificate(authority: trustme.CA, folder: Path) -> Certificate:
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for number, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(folder / "chain.pem", append=number > 0)
    return Certificate(folder / "chain.pem", folder / "key.pem")
