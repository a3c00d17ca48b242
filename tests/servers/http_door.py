"""An HTTP door on free ports, with an intake and a directory that remember what they were asked."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from ingest.http.native_api import NativeApi
from ingest.http.openapi import described
from ingest.http.sendgrid_api import SendGridApi
from ingest.http.served import WireLimits
from ingest.http.ses_api import SesApi
from ingest.listeners import Listener
from ingest.service import IngestService
from ingest.session_context import Limits, SessionContext
from posthouse.authentication.proofs import AuthKeys
from posthouse.mail.permission import Permission
from posthouse.running.certificate import Certificate
from posthouse.running.identity import new_id
from posthouse.running.tcp import Endpoint
from posthouse.store.timeline import Timeline
from servers.door import (
    LOGIN,
    PEPPER,
    QUICK,
    SEALING,
    ExactClient,
    RememberingDirectory,
    RememberingIntake,
)
from servers.patience import on_this_machine

# May be used by HTTP too.
CALLER = replace(LOGIN, permissions=frozenset(Permission))
BEARER = "Bearer user.the secret"
MESSAGE = {
    "from": "jo@a.example",
    "to": "x@there.example",
    "subject": "Hello",
    "text": "Hi there\n",
}


class Answer(NamedTuple):
    """What came back."""

    status: int
    fields: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def value(self) -> Any:
        """The body, which is JSON."""
        return json.loads(self.body)


class HttpWireClient(ExactClient):
    """One of HTTP."""

    async def answer(self) -> Answer:
        """The next answer."""
        async with asyncio.timeout(on_this_machine(10)):
            line, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
            pairs = (one.split(": ", 1) for one in lines)
            fields = {name.lower(): value for name, value in pairs}
            body = await self.reader.readexactly(int(fields.get("content-length", 0)))
        return Answer(int(line.split(" ")[1]), fields, body)

    async def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request, and read its answer."""
        given = {"Host": "localhost", "Authorization": BEARER, **(fields or {})}
        if body is not None:
            given["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items() if value)
        await self.send(
            f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode(errors="surrogateescape")
            + (body or b"")
        )
        return await self.answer()

    async def post(self, path: str, value: Any, **fields: str) -> Answer:
        """Post *value* as JSON; *fields* by their names with _ for -."""
        given = {name.replace("_", "-"): text for name, text in fields.items()}
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return await self.request("POST", path, body, {"Content-Type": "application/json", **given})


@dataclass
class KeptMail:
    """Remembers the messages that it was given, and which of them were cancelled."""

    timelines: dict[UUID, Timeline] = field(default_factory=dict)
    scheduled: set[UUID] = field(default_factory=set)
    cancelled_by: dict[UUID, str] = field(default_factory=dict)

    async def of_submission(self, submission_id: UUID) -> Timeline | None:
        """As Timelines promises."""
        return self.timelines.get(submission_id)

    async def cancel(self, submission_id: UUID, actor: str) -> bool:
        """As Cancelling promises."""
        if submission_id in self.scheduled:
            self.cancelled_by[submission_id] = actor
        return submission_id in self.scheduled


@dataclass
class RunningHttp:
    """A door that serves, and what stands behind it."""

    service: IngestService
    context: SessionContext
    intake: RememberingIntake
    directory: RememberingDirectory
    stopping: asyncio.Event
    task: asyncio.Task[None]
    stack: AsyncExitStack
    kept: KeptMail

    @property
    def address(self) -> Endpoint:
        """Of the first listener."""
        return self.service.addresses[0]

    async def connect(self, listener: int = 0, tls: ssl.SSLContext | None = None) -> HttpWireClient:
        """A client of the listener of that number."""
        address = self.service.addresses[listener]
        reader, writer = await asyncio.open_connection(
            address.host, address.port, ssl=tls, server_hostname="localhost" if tls else None
        )
        self.stack.callback(writer.close)
        return HttpWireClient(reader, writer)


class OpenHttpDoor(Protocol):
    """Opens a door with listeners of these TLS modes and with these limits."""

    def __call__(
        self,
        *modes: str,
        wire: WireLimits = ...,
        **limits: Any,
    ) -> Awaitable[RunningHttp]:
        """Modes are those of TlsMode, limits those of Limits."""


@asynccontextmanager
async def running_http_door(
    modes: Sequence[str],
    certificate: Certificate,
    limits: Limits = QUICK,
    wire: WireLimits = WireLimits(),  # noqa: B008 -- a tuple
) -> AsyncIterator[RunningHttp]:
    """A door with a listener for each of *modes*."""
    intake, directory, kept = RememberingIntake(), RememberingDirectory(), KeptMail()
    directory.logins["user"] = CALLER
    context = SessionContext.new(
        hostname="mx.posthouse.example",
        intake=intake,
        directory=directory,
        keys=AuthKeys(PEPPER, SEALING),
        tls=certificate,
        new_id=new_id,
        clock=asyncio.get_running_loop().time,
        note_alert=lambda account, alert: intake.alerts.append((account, alert)),
        limits=limits,
    )
    service = IngestService(
        [Listener.parse(f"127.0.0.1:0/{mode}") for mode in modes],
        context,
        apis=lambda door: described(
            (
                *NativeApi(door, kept, kept).routes(),
                *SendGridApi(door).routes(),
                *SesApi(door).routes(),
            )
        ),
        http_limits=wire,
    )
    service.bind()
    stopping = asyncio.Event()
    task = asyncio.create_task(service.run(stopping))
    async with AsyncExitStack() as stack:
        yield RunningHttp(service, context, intake, directory, stopping, task, stack, kept)
    stopping.set()
    intake.open.set()
    async with asyncio.timeout(on_this_machine(5)):
        await task
