"""CPU of ingest alone, over a store that accepts everything at once.

    python -m bench.door [--rounds 5] [--case "10 KB"]

Prints microseconds of CPU (user and system, every thread of ingest) per message or connection,
logs and metrics included: the median of all rounds, and the best. The clients run in a process of
their own and are not counted.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any

import uvloop
from bench.chain import certificate
from bench.load import Load, Plan
from bench.load_http import Form
from bench.load_session import Door, Session, any_certificate
from bench.open_store import log_to_nowhere, open_door

from ingest.listeners import TlsMode
from ingest.session_context import Limits

_CONNECTIONS = 20


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table."""

    name: str
    times: int
    drive: Callable[[int, int], None]  # the work of clients: port, number of times
    listener: TlsMode = TlsMode.NONE


def send(port: int, times: int, *, tls: bool = False, **given: Any) -> None:
    """Send messages, by default of 10 KB in clear over kept connections."""
    given = {"connections": _CONNECTIONS, "size": 10_240, **given}
    sent = uvloop.run(Load(Plan(_door(port, tls=tls), times, **given)).run())
    assert all(message.accepted for message in sent)


def connect(port: int, times: int) -> None:
    """Connect, log in and quit."""

    async def one_by_one() -> None:
        for _ in range(times):
            session = await Session.open(_door(port))
            session.close()

    uvloop.run(one_by_one())


def _door(port: int, *, tls: bool = False) -> Door:
    return Door("127.0.0.1", port, "user", "secret", any_certificate() if tls else None)


CASES = (
    Case("10 KB, pipelining", 6_000, send),
    Case("10 KB, lock-step", 6_000, partial(send, pipelining=False)),
    Case("1 MB", 300, partial(send, size=1 << 20)),
    Case("25 MB", 20, partial(send, size=25 << 20)),
    Case("10 KB, a connection each", 3_000, partial(send, once=True)),
    Case(
        "10 KB, a connection each, STARTTLS",
        1_500,
        partial(send, once=True, tls=True),
        TlsMode.STARTTLS_REQUIRED,
    ),
    Case("HTTP, 10 KB as it is", 6_000, partial(send, http=Form.RAW), TlsMode.HTTP),
    Case("HTTP, 12 KB of JSON", 3_000, partial(send, http=Form.JSON, size=12_288), TlsMode.HTTP),
    Case(
        "HTTP, 12 KB of SendGrid's JSON",
        3_000,
        partial(send, http=Form.SENDGRID, size=12_288),
        TlsMode.HTTP,
    ),
    Case("HTTP, 1 MB as it is", 300, partial(send, http=Form.RAW, size=1 << 20), TlsMode.HTTP),
    Case(
        "HTTPS, 10 KB, a connection each",
        1_500,
        partial(send, http=Form.RAW, once=True, tls=True),
        TlsMode.HTTPS,
    ),
    Case("connection, EHLO, AUTH PLAIN, QUIT", 3_000, connect),
)


async def measure(cases: Sequence[Case], rounds: int) -> None:
    """Print the table."""
    modes = list(dict.fromkeys(case.listener for case in cases))
    listeners = [f"127.0.0.1:0/{mode}" for mode in modes]
    limits = Limits(octets_in_flight=1 << 30)
    log_to_nowhere()
    async with open_door(listeners, limits, certificate()) as service:
        print(f"{'CPU of the door, microseconds each':40} {'median':>9} {'best':>9}")
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as clients:
            for case in cases:
                port = service.addresses[modes.index(case.listener)].port
                spent = [await _spent(clients, case, port) for _ in range(rounds)]
                median, best = statistics.median(spent), min(spent)
                print(f"{case.name:40} {median:9.1f} {best:9.1f}", flush=True)


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
