"""A load generator for SMTP and our HTTP API: sends messages and times each one.

    python -m bench.load --to 127.0.0.1:2525 -n 20000 -c 20 --auth user:secret --lanes 1=1,5=99

Closed loop by default: each connection sends its next message when it has its reply; with --once
another connection does, and its time counts from the beginning of the connection. With --rate
messages are due at fixed times, and one without a free connection waits: its latency counts from
when it was due, so that the stall of a server shows although fewer messages are sent. After
SIGTERM it reports the messages answered by then. Loopback only.
"""

import argparse
import asyncio
import ipaddress
import json
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from bench.load_http import Form, HttpSession, as_sendgrid, described
from bench.load_session import CannotConnect, Door, Session, SessionLost, any_certificate
from bench.load_summary import Sent, log_line, summary
from bench.newsletter import FIELDS, NAME, newsletter

_LINE = b"x" * 76 + b"\r\n"
_HEADER_OCTETS = 230
_RETRY_SECONDS = 0.1
_APART_SECONDS = 0.002  # between the first connections: some servers let only five wait


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send, and how."""

    door: Door
    messages: int = 1000
    connections: int = 10
    size: int = 10_240  # octets of a message, about
    sender: str = "news@sender.example"
    recipient: str = "user{n}@dest.example"  # {n} is the message's number
    recipients: int = 1  # of each message: this one, and more with names made from it
    lanes: Sequence[tuple[int, int]] = ()  # X-Priority and its weight; none: no such field
    newsletter: bool = False  # HTML with links, in place of lines of one letter
    fields: Sequence[str] = ()  # more of the header, each without its line end
    pipelining: bool = True  # if the server offers it
    http: Form | None = None  # by our HTTP API; JSON is another text, without lanes and fields
    once: bool = False  # a connection for each message
    rate: float = 0.0  # messages a second; 0: closed loop
    first: int = 0  # number of the first message
    persist: bool = False  # connect and send again until each message has a 2xx or 5xx
    seed: int = 0  # of the mix of lanes


@dataclass
class Load:
    """Runs a plan; `sent` grows as replies come."""

    plan: Plan
    sent: list[Sent] = field(default_factory=list)
    held: Callable[[], Awaitable[None]] | None = None  # returns when one more message may go

    def __post_init__(self) -> None:
        host = self.plan.door.host
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"{host} is not a loopback address")
        lines = max(round((self.plan.size - _HEADER_OCTETS) / len(_LINE)), 1)
        content = newsletter(self.plan.size) if self.plan.newsletter else _LINE * lines
        more = FIELDS if self.plan.newsletter else ()
        self._body = b"\r\n" + content + b".\r\n"
        self._fields = "".join(f"{line}\r\n" for line in (*self.plan.fields, *more)).encode()
        self._jobs = self._all_jobs()
        self._began = time.time()

    async def run(self) -> list[Sent]:
        """Send everything; each message with its reply, in the order of the replies.

        Raises CannotConnect, unless the plan is to persist.
        """
        self._began = time.time()
        try:
            async with asyncio.TaskGroup() as tasks:
                for place in range(min(self.plan.connections, self.plan.messages)):
                    tasks.create_task(self._work(place * _APART_SECONDS))
        except ExceptionGroup as group:
            # Not except*: before Python 3.11.4 what it raises comes in a group again.
            if isinstance(group.exceptions[0], CannotConnect):
                raise group.exceptions[0] from None
            raise
        return self.sent

    def _all_jobs(self) -> Iterator[tuple[int, int]]:
        """Number and lane of each message."""
        plan = self.plan
        lanes = [lane for lane, _ in plan.lanes] or [0]
        weights = [weight for _, weight in plan.lanes] or [1]
        chance = random.Random(plan.seed)  # noqa: S311 -- which message goes in which lane
        numbers = range(plan.first, plan.first + plan.messages)
        return zip(numbers, chance.choices(lanes, weights, k=plan.messages), strict=True)

    async def _work(self, begin: float) -> None:
        session: Session | HttpSession | None = None
        for number, lane in self._jobs:  # the first is taken before the others can take all
            if begin:
                await asyncio.sleep(begin)
                begin = 0
            submitted = await self._due(number)
            recipient = self.plan.recipient.replace("{n}", str(number))
            message = self.message(number, lane, recipient)
            session, code = await self._try(session, message)
            tries = 1
            while self.plan.persist and not (200 <= code < 300 or code >= 500):
                await asyncio.sleep(_RETRY_SECONDS)
                session, code = await self._try(session, message)
                tries += 1
            self.sent.append(
                Sent(str(number), lane, recipient, submitted, time.time(), code, tries)
            )
            if self.plan.once and session is not None:
                await session.quit()
                session = None
        if session is not None:
            session.close()

    async def _due(self, number: int) -> float:
        """The time at which message *number* is submitted; returns when it has come."""
        if self.held is not None:
            await self.held()
        if not self.plan.rate:
            return time.time()
        due = self._began + (number - self.plan.first) / self.plan.rate
        await asyncio.sleep(max(due - time.time(), 0))
        return due

    async def _try(
        self, session: Session | HttpSession | None, message: tuple[tuple[bytes, ...], bytes]
    ) -> tuple[Session | HttpSession | None, int]:
        """The session for the next message, and the code of the reply; 0 when it was lost."""
        try:
            session = session or await self._open()
            return session, await session.send(*message)
        except SessionLost:
            return None, 0
        except CannotConnect:
            if self.plan.persist:
                return None, 0
            raise

    async def _open(self) -> Session | HttpSession:
        door = self.plan.door
        if self.plan.http is not None:
            return await HttpSession.open(door)
        return await Session.open(door, pipelining=self.plan.pipelining)

    def message(self, number: int, lane: int, recipient: str) -> tuple[tuple[bytes, ...], bytes]:
        """Envelope and text, as sessions send them."""
        plan = self.plan
        if plan.http is Form.JSON:
            text = described(plan.size, plan.sender, recipient)
        elif plan.http is Form.SENDGRID:
            text = as_sendgrid(described(plan.size, plan.sender, recipient))
        else:
            text = self._text(number, lane, recipient)
        if plan.http is not None:
            text = text.removesuffix(b".\r\n")  # the dot's line is SMTP
            return (plan.http.head(plan.door, len(text)),), text
        more = (f"{place}.{recipient}" for place in range(1, plan.recipients))
        envelope = (
            f"MAIL FROM:<{plan.sender}>\r\n".encode(),
            *(f"RCPT TO:<{address}>\r\n".encode() for address in (recipient, *more)),
            b"DATA\r\n",
        )
        return envelope, text

    def _text(self, number: int, lane: int, recipient: str) -> bytes:
        priority = f"X-Priority: {lane}\r\n" if lane else ""
        header = (
            f"From: {self.plan.sender}\r\nTo: {recipient}\r\nSubject: Message {number}\r\n"
            f"Date: {formatdate(self._began)}\r\nMessage-ID: <{number}.{self._began}@load>\r\n"
            f"X-Bench-Id: {number}\r\n{priority}"
        )
        return header.encode() + self._fields + self._body.replace(NAME, recipient.encode())


def lanes(text: str) -> tuple[tuple[int, int], ...]:
    """Read "1=1,5=99": lane and weight."""
    pairs = (part.partition("=") for part in text.split(","))
    return tuple((int(lane), int(weight or 1)) for lane, _, weight in pairs)


def main(arguments: Sequence[str]) -> int:
    """The program; exit status 1 when not every message was accepted."""
    given = _parser().parse_args(arguments)
    host, _, port = given.to.rpartition(":")
    user, _, secret = given.auth.partition(":")
    plan = Plan(
        Door(host.strip("[]"), int(port), user, secret, any_certificate() if given.tls else None),
        messages=given.messages,
        connections=given.connections,
        size=given.size,
        sender=given.sender,
        recipient=given.recipient,
        recipients=given.recipients,
        lanes=given.lanes,
        newsletter=given.newsletter,
        fields=given.field,
        pipelining=not given.no_pipelining,
        http=given.http,
        once=given.once,
        rate=given.rate,
        first=given.first,
        persist=given.persist,
        seed=given.seed,
    )
    loops = import_module("uvloop" if find_spec("uvloop") else "asyncio")
    with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
        began = time.process_time()
        try:
            sent = runner.run(_until_told(Load(plan)))
        except CannotConnect as error:
            sys.exit(f"cannot connect to {error}")
    cpu = time.process_time() - began
    if given.log:
        given.log.write_text("".join(map(log_line, sent)))
    each = round(cpu / len(sent) * 1e6, 1) if sent else None
    print(json.dumps(summary(sent) | {"cpu_us_per_message": each}))
    return 0 if all(message.accepted for message in sent) else 1


async def _until_told(load: Load) -> list[Sent]:
    """All messages, or those answered before SIGTERM came."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with suppress(asyncio.CancelledError):
        await load.run()
    return load.sent


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--to", default="127.0.0.1:2525", metavar="HOST:PORT")
    add("-n", "--messages", type=int, default=1000)
    add("-c", "--connections", type=int, default=10)
    add("--size", type=int, default=10_240, help="octets of a message")
    add("--sender", default="news@sender.example")
    add("--recipient", default="user{n}@dest.example", help="{n} is the message's number")
    add("--recipients", type=int, default=1, help="of each message")
    add("--lanes", type=lanes, default=(), metavar="1=1,5=99", help="mix of X-Priority")
    add("--auth", default="", metavar="USER:SECRET", help="AUTH PLAIN, or Bearer")
    add("--tls", action="store_true", help="STARTTLS, or HTTPS; any certificate will do")
    add("--http", type=Form, choices=list(Form), help="post to our HTTP API, and not by SMTP")
    add("--once", action="store_true", help="a connection for each message")
    add("--field", action="append", default=[], metavar="NAME: VALUE", help="more of the header")
    add("--newsletter", action="store_true", help="HTML with twenty links")
    add("--no-pipelining", action="store_true", help="wait for each reply")
    add("--rate", type=float, default=0.0, help="messages a second; default: as fast as taken")
    add("--first", type=int, default=0, help="number of the first message")
    add("--persist", action="store_true", help="go on until each message is accepted or refused")
    add("--seed", type=int, default=0, help="of the mix of lanes")
    add("--log", type=Path, help="file for a line per message")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
