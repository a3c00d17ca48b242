"""CPU of ingest alone, over a store that accepts everything at once.

    python -m bench.door [--rounds 5] [--case "10 KB"]

Prints microseconds of CPU (user and system, every thread of ingest) per message or connection,
logs and metrics included: the median of all rounds, and the best. The clients run in a process of
their own and are not counted.
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from uuid import UUID

import uvloop
from bench.load import Load, Plan
from bench.load_session import Door, Session

from ingest.listeners import Listener
from ingest.service import IngestService
from ingest.session_context import Limits, SessionContext
from posthouse.mail.lane import Lane
from posthouse.mail.secret import hash_secret
from posthouse.mail.submission import Submission
from posthouse.running import logs
from posthouse.running.common_settings import LogFormat
from posthouse.running.identity import new_id
from posthouse.store.accounts import Login

_PEPPER = b"p" * 32
_CONNECTIONS = 20
_ID = UUID(int=1)
_LOGIN = Login(
    account_id=_ID,
    credential_id=_ID,
    username="user",
    secret_hash=hash_secret("secret", _PEPPER),
    profile="native",
    lane=Lane.NORMAL,
    highest_lane=Lane.VERY_HIGH,
    domains=frozenset(("sender.example",)),
)


class Open:
    """A directory with one user, and an intake that accepts everything at once."""

    async def login(self, _: str) -> Login:
        """See `ingest.authenticator.Directory`."""
        return _LOGIN

    async def accept(self, submission: Submission) -> None:
        """See `ingest.session_context.Intake`."""


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table."""

    name: str
    times: int
    drive: Callable[[int, int], None]  # the work of clients: port, number of times


def send(port: int, times: int, *, size: int = 10_240, pipelining: bool = True) -> None:
    """Send messages over kept connections."""
    load = Load(Plan(_door(port), times, _CONNECTIONS, size, pipelining=pipelining))
    sent = uvloop.run(load.run())
    assert all(message.accepted for message in sent)


def connect(port: int, times: int) -> None:
    """Connect, log in and quit."""

    async def one_by_one() -> None:
        for _ in range(times):
            session = await Session.open(_door(port))
            session.close()

    uvloop.run(one_by_one())


def _door(port: int) -> Door:
    return Door("127.0.0.1", port, "user", "secret")


CASES = (
    Case("10 KB, pipelining", 6_000, send),
    Case("10 KB, lock-step", 6_000, partial(send, pipelining=False)),
    Case("1 MB", 300, partial(send, size=1 << 20)),
    Case("25 MB", 20, partial(send, size=25 << 20)),
    Case("connection, EHLO, AUTH PLAIN, QUIT", 3_000, connect),
)


async def measure(cases: Sequence[Case], rounds: int) -> None:
    """Print the table."""
    logs.configure("ingest", form=LogFormat.JSON, stream=open(os.devnull, "w"))  # noqa: ASYNC230, PTH123, SIM115 -- as long as we live
    behind = Open()
    service = IngestService(
        [Listener.parse("127.0.0.1:0/none")],
        SessionContext.new(
            hostname="relay.bench.example",
            intake=behind,
            directory=behind,
            pepper=_PEPPER,
            tls=None,
            new_id=new_id,
            clock=time.monotonic,
            limits=Limits(octets_in_flight=1 << 30),
        ),
    )
    service.bind()
    stopping = asyncio.Event()
    serving = asyncio.create_task(service.run(stopping))
    port = service.addresses[0].port
    print(f"{'CPU of the door, microseconds each':40} {'median':>9} {'best':>9}")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as clients:
        for case in cases:
            spent = [await _spent(clients, case, port) for _ in range(rounds)]
            print(f"{case.name:40} {statistics.median(spent):9.1f} {min(spent):9.1f}", flush=True)
    stopping.set()
    await serving


async def _spent(clients: ProcessPoolExecutor, case: Case, port: int) -> float:
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(clients, case.drive, port, max(case.times // 10, 1))  # warm up
    began = time.process_time()
    await loop.run_in_executor(clients, case.drive, port, case.times)
    return (time.process_time() - began) * 1e6 / case.times


def main(arguments: Sequence[str]) -> None:
    """The program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", default="", help="only the lines that begin so")
    given = parser.parse_args(arguments)
    cases = [case for case in CASES if case.name.startswith(given.case)]
    uvloop.run(measure(cases, given.rounds))


if __name__ == "__main__":
    main(sys.argv[1:])
