"""Returned mail: how much a second, and the CPU of each message, of the service and the database.

    python -m bench.returning

It starts a PostgreSQL of its own, and the bounces service in a process of its own; this one is its
client, over 10 connections. The CPU of the service and of the database is read from /proc.
"""

import asyncio
import multiprocessing
import os
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from bounces.return_listener import ReturnListener
from bounces.settings import BouncesSettings
from bounces.wiring import build
from onebox.postgres_server import EmbeddedPostgres
from posthouse.broker.embedded import EmbeddedBroker
from posthouse.mail import return_path, signed_id
from posthouse.mail.secret import Purpose, derive
from posthouse.running import logs
from posthouse.running.common_settings import LogFormat
from posthouse.running.identity import new_id
from posthouse.running.program import Resources
from posthouse.running.settings import load
from posthouse.store.migrate import migrate
from posthouse.store.postgres import Postgres

EACH = 3_000
CONNECTIONS = 10
HOST = "bounce.sender.example"
SECRET = b"a secret of thirty-two octets...."
TICK = os.sysconf("SC_CLK_TCK")
TODAY = datetime.now(UTC).date()

_HEAD = (
    "From: {sender}\r\nTo: b@bounce.sender.example\r\nSubject: {subject}\r\n"
    "Date: Tue, 3 Mar 2026 10:00:01 +0100\r\nMIME-Version: 1.0\r\n"
)
_PARTS = (
    _HEAD + 'Content-Type: multipart/report; report-type={type}; boundary="=b"\r\n\r\n'
    "--=b\r\nContent-Type: text/plain\r\n\r\nThis is about a message that you sent.\r\n\r\n"
    "--=b\r\nContent-Type: message/{type}\r\n\r\n{fields}\r\n"
    "--=b\r\nContent-Type: message/rfc822\r\n\r\n{original}From: News <news@sender.example>\r\n"
    "To: ann@dest.example\r\nSubject: Your order\r\n\r\n{body}\r\n--=b--\r\n"
)
_STATUS = (
    "Reporting-MTA: dns; mx.dest.example\r\n\r\nFinal-Recipient: rfc822; ann@dest.example\r\n"
    "Action: failed\r\nStatus: {status}\r\nDiagnostic-Code: smtp; 550 {status} {words}\r\n"
)
_BODY = "The quick brown fox jumps over the lazy dog, and then it all begins again.\r\n" * 40


async def main() -> None:
    """Measure and print."""
    spawn = multiprocessing.get_context("spawn")
    with TemporaryDirectory(prefix="posthouse-bench-", dir="/var/tmp") as folder:
        async with EmbeddedPostgres(Path(folder, "postgres")) as postgres:
            await migrate(postgres.dsn)
            ready, child = spawn.Pipe()
            service = spawn.Process(target=_serve, args=(postgres.dsn, child), daemon=True)
            service.start()
            try:
                await _measure(postgres.dsn, ready.recv(), service.pid or 0)
            finally:
                service.terminate()


def _serve(url: str, port: Any) -> None:
    async def serve() -> None:
        async with Postgres(url) as database:
            settings = load(BouncesSettings, _environ())
            built = build(settings, Resources(database, database, EmbeddedBroker()))
            listener = built.by_name["bounces"]
            assert isinstance(listener, ReturnListener)
            running = asyncio.create_task(listener.run(asyncio.Event()))
            port.send((await listener.address()).port)
            await running

    with Path(os.devnull).open("w") as nowhere:
        logs.configure("bounces", form=LogFormat.JSON, stream=nowhere)
        uvloop.run(serve())


def _environ() -> dict[str, str]:
    return {
        "POSTHOUSE_DATABASE_URL": "postgresql://",
        "POSTHOUSE_BROKER_URL": "amqp://",
        "POSTHOUSE_SECRET_KEY": b64encode(SECRET).decode(),
        "POSTHOUSE_HOSTNAME": HOST,
        "POSTHOUSE_BOUNCES_LISTEN": "127.0.0.1:0",
        "POSTHOUSE_BOUNCES_MESSAGES_PER_MINUTE": "100000000",
        "POSTHOUSE_BOUNCES_CONNECTIONS_PER_CLIENT": "100",
    }


class Sent:
    """A delivery whose message has left, with what came with it."""

    def __init__(self) -> None:
        self.id, self.submission, self.account, self.rendition = (new_id() for _ in range(4))
        key = derive(SECRET, Purpose.RETURN_PATHS)
        self.path = return_path.sign(self.id, HOST, key, TODAY)
        key = derive(SECRET, Purpose.SIGNED_IDS)
        field = signed_id.sign(self.account, self.submission, self.rendition, key, TODAY)
        self.field = field.raw.decode()


def _report(status: str, words: str) -> str:
    fields = _STATUS.format(status=status, words=words)
    subject, sender = "Undelivered Mail", "MAILER-DAEMON@mx.dest.example"
    return _PARTS.format(
        sender=sender, subject=subject, type="delivery-status", fields=fields, original="",
        body=_BODY,
    )  # fmt: skip


def _complaint(of: Sent) -> str:
    fields = "Feedback-Type: abuse\r\nUser-Agent: bench/1\r\nVersion: 1\r\n"
    return _PARTS.format(
        sender="fbl@dest.example", subject="complaint", type="feedback-report", fields=fields,
        original=of.field, body=_BODY,
    )  # fmt: skip


_REPLY = _HEAD.format(sender="ann@dest.example", subject="Out of office: Your order") + (
    "Auto-Submitted: auto-replied\r\n\r\nI am away until Monday.\r\n"
)
_WORK: dict[str, Callable[[Sent], tuple[str, str]]] = {
    "report: no such mailbox": lambda s: (s.path, _report("5.1.1", "no such user here")),
    "... the same again": lambda s: (s.path, _report("5.1.1", "no such user here")),
    "report: refused by policy": lambda s: (s.path, _report("5.7.1", "message refused by policy")),
    "automatic reply": lambda s: (s.path, _REPLY),
    "complaint by its id": lambda s: (f"abuse@{HOST}", _complaint(s)),
    "complaint, forged": lambda s: (f"abuse@{HOST}", _complaint(s).replace("-Id: A", "-Id: B")),
    "return path, forged": lambda s: (s.path.replace("b+a", "b+b"), "x\r\n"),
}


async def _measure(url: str, port: int, service: int) -> None:
    print(f"{'':28}{'a second':>10}{'service':>10}{'database':>10}   (us of CPU each)")
    async with Postgres(url) as database:
        sent = [Sent() for _ in range(EACH)]
        await _store(database, sent)
        for name, make in _WORK.items():
            before = await _ticks(database, service)
            began = time.perf_counter()
            shares = [sent[n::CONNECTIONS] for n in range(CONNECTIONS)]
            await asyncio.gather(*(_give(port, map(make, share)) for share in shares))
            seconds = time.perf_counter() - began
            after = await _ticks(database, service)
            each = [(new - old) / TICK / EACH * 1e6 for new, old in zip(after, before, strict=True)]
            print(f"{name:28}{EACH / seconds:10.0f}{each[0]:10.0f}{each[1]:10.0f}", flush=True)


async def _store(database: Postgres, sent: Sequence[Sent]) -> None:
    async with database.connection() as connection:
        await connection.executemany(
            "INSERT INTO accounts (id, name) VALUES ($1, $1::uuid::text)",
            [(s.account,) for s in sent],
        )
        await connection.executemany(
            "INSERT INTO submissions VALUES ($1, $2, $2, 'native', 3, 'news@sender.example',"
            " '{ann@dest.example}', false, '', '', '', 1)",
            [(s.submission, s.account) for s in sent],
        )
        await connection.executemany(
            "INSERT INTO deliveries VALUES ($1, $2, $3, $4, 3, 'ann@dest.example', $5)",
            [(s.id, s.submission, s.account, s.rendition, s.path) for s in sent],
        )


async def _ticks(database: Postgres, service: int) -> tuple[int, int]:
    """CPU time of the service, and of the database's processes for others."""
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT pid FROM pg_stat_activity WHERE pid IS NOT NULL")
    return _cpu_ticks(service), sum(_cpu_ticks(row["pid"]) for row in rows)


def _cpu_ticks(pid: int) -> int:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


async def _give(port: int, mails: Iterator[tuple[str, str]]) -> None:
    """Send each of *mails* over one connection, and read the replies."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await _replies(reader, 1)
    writer.write(b"HELO bench\r\n")
    await _replies(reader, 1)
    for to, text in mails:
        writer.write(f"MAIL FROM:<>\r\nRCPT TO:<{to}>\r\nDATA\r\n".encode())
        last = (await _replies(reader, 3))[-1]
        if last.startswith(b"354"):
            writer.write(text.encode() + b".\r\n")
            (last,) = await _replies(reader, 1)
            assert last.startswith(b"250"), last
    writer.close()


async def _replies(reader: asyncio.StreamReader, count: int) -> list[bytes]:
    return [await reader.readline() for _ in range(count)]


if __name__ == "__main__":
    uvloop.run(main())
