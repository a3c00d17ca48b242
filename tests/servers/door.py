"""A door on free ports, with an intake and a directory that remember what they were asked."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import trustme

from ingest.listeners import Listener
from ingest.service import IngestService
from ingest.session_context import Limits, SessionContext
from ingest.smtp_session import SmtpSession
from posthouse.authentication.proofs import AuthKeys
from posthouse.mail.lane import Lane
from posthouse.mail.rate_charge import charge_together
from posthouse.mail.rate_limit import (
    Charge,
    RateCount,
    RateLimit,
    Together,
)
from posthouse.mail.secret import hash_secret
from posthouse.mail.submission import Submission
from posthouse.mail.terms import Acceptance, Committed
from posthouse.running.certificate import Certificate
from posthouse.running.certificate_expiry import CertificateUse
from posthouse.running.identity import new_id
from posthouse.running.tcp import Endpoint
from posthouse.store.logins import AccountProfile, Login
from servers.patience import on_this_machine

PEPPER = b"p" * 32
SEALING = b"s" * 32
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


def login_with(**knobs: Any) -> Login:
    """`LOGIN`, of an account whose profile has these knobs, given as group__knob."""
    own = AccountProfile(
        account_id=LOGIN.account_id,
        name="ours",
        revision=7,
        preset="native",
        preset_revision=1,
        knobs={name.replace("__", "."): value for name, value in knobs.items()},
    )
    return replace(LOGIN, profile="ours", own_profile=own)


@dataclass
class RememberingIntake:
    """Keeps submissions in a list, or fails as told, or waits until told to go on."""

    accepted: list[Submission] = field(default_factory=list)
    alerts: list[tuple[UUID, Mapping[str, Any]]] = field(default_factory=list)
    failure: Exception | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0
    room: bool = True  # on the disk
    answer: Acceptance = field(default_factory=lambda: Committed(is_due=True))

    def __post_init__(self) -> None:
        self.open.set()

    def has_room(self) -> bool:
        """As Intake promises."""
        return self.room

    async def accept(self, submission: Submission) -> Acceptance:
        """As Intake promises."""
        self.asked += 1
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        self.accepted.append(submission)
        return self.answer

    async def accept_together(self, submissions: Sequence[Submission]) -> Sequence[Acceptance]:
        """As Intake promises."""
        return [await self.accept(each) for each in submissions]


@dataclass
class CountsInMemory:
    """Counts against the limits it was given, at a time that is set."""

    counts: Sequence[RateCount] = ()
    now: datetime = datetime(2026, 11, 30, 12, tzinfo=UTC)
    asked: list[Charge] = field(default_factory=list)
    failure: Exception | None = None

    def limit(self, *limits: RateLimit, owner: UUID = LOGIN.credential_id) -> None:
        """Let these be the only limits, of the credential if it is not said."""
        self.counts = tuple(
            RateCount(owner, limit, datetime(1970, 1, 1, tzinfo=UTC), 0, told=False)
            for limit in limits
        )

    def charge(self, messages: Sequence[Charge]) -> Together:
        """As the store does."""
        self.asked.extend(messages)
        if self.failure is not None:
            raise self.failure
        owners = {count.owner_id for count in self.counts}
        counts = {o: [count for count in self.counts if count.owner_id == o] for o in owners}
        verdict, after = charge_together(messages, counts, self.now)
        self.counts = [count for of_owner in after.values() for count in of_owner]
        return verdict


@dataclass
class RememberingDirectory:
    """Knows the logins it was given."""

    logins: dict[str, Login] = field(default_factory=lambda: {"user": LOGIN})
    children: dict[str, UUID] = field(default_factory=dict)  # of every account
    others: frozenset[str] = frozenset()  # domains that other accounts have verified
    rates: CountsInMemory = field(default_factory=CountsInMemory)
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

    async def scram(self, username: str) -> bytes | None:
        """As Directory promises."""
        login = await self.login(username)
        return login.scram if login else None

    async def user_of_secret(self, secret_hash: bytes) -> str | None:
        """As Directory promises."""
        await self.open.wait()
        of = [
            n
            for n, one in self.logins.items()
            if secret_hash in (one.secret_hash, one.previous_hash)
        ]
        return of[0] if len(of) == 1 else None

    async def child(self, account_id: UUID, name: str) -> UUID | None:
        """As Directory promises."""
        del account_id
        return self.children.get(name)

    async def owned_elsewhere(self, account_id: UUID, domains: Collection[str]) -> frozenset[str]:
        """As DomainRegister promises: those of `others`."""
        del account_id
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return self.others.intersection(domains)

    async def charge(self, messages: Sequence[Charge], *, urgent: bool) -> Together:
        """As RateCounts promises."""
        del urgent
        return self.rates.charge(messages)


class ExactClient:
    """A client that says exactly what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send *data* as it is."""
        self.writer.write(data)
        await self.writer.drain()

    async def is_closed(self) -> bool:
        """Whether the other side closed, and said nothing more before."""
        async with asyncio.timeout(on_this_machine(5)):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True


class Wire(ExactClient):
    """One of SMTP, octet by octet if need be."""

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


@dataclass
class Running:
    """A door that serves, and what stands behind it."""

    service: IngestService
    intake: RememberingIntake
    directory: RememberingDirectory
    stopping: asyncio.Event
    task: asyncio.Task[None]
    stack: AsyncExitStack

    @property
    def rates(self) -> CountsInMemory:
        """What is counted against limits."""
        return self.directory.rates

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

    def receiving(self) -> int:
        """How many octets have come of the messages that are not complete."""
        sessions = self.service._context.connections.open
        data = [one._server.state.data for one in sessions if isinstance(one, SmtpSession)]
        return sum(one.received_octets for one in data if one is not None)

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
    service = IngestService(
        [Listener.parse(f"127.0.0.1:0/{mode}") for mode in modes],
        SessionContext.new(
            hostname="mx.posthouse.example",
            intake=intake,
            directory=directory,
            keys=AuthKeys(PEPPER, SEALING),
            tls=certificate,
            new_id=new_id,
            clock=asyncio.get_running_loop().time,
            note_alert=lambda account, alert: intake.alerts.append((account, alert)),
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


def write_certificate(
    authority: trustme.CA, folder: Path, *names: str, not_after: datetime | None = None
) -> Certificate:
    """A certificate for *names*, in files in *folder*."""
    issued = authority.issue_cert(*(names or ("localhost",)), not_after=not_after)
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for number, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(folder / "chain.pem", append=number > 0)
    return Certificate((folder / "chain.pem", folder / "key.pem"), use=CertificateUse.SUBMISSION)
