"""An SMTP sink: accepts all mail, remembers when it came, and misbehaves on request.

As a program it prints one JSON line when it listens and one when it is stopped (SIGTERM, ctrl-C):

    python -m bench.sink --listen 127.0.0.1:2600 --log arrivals.tsv \
        --refuse 'dead*=550 5.1.1 No such user' --delay 0.05 --soft 0.01 --cut 0.01

As a module it is `Sink`, with the arrivals in `arrivals`. Loopback only: it is no mail server.
"""

import argparse
import asyncio
import contextlib
import fnmatch
import ipaddress
import json
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from bench.sink_session import Arrival, Manners, Outcome, Refusal, Session


@dataclass
class Sink:
    """Listens between `start` and `stop`, and remembers arrivals."""

    manners: Manners = field(default_factory=Manners)
    host: str = "127.0.0.1"
    port: int = 0  # 0: any free one; after `start` the port in use
    arrivals: list[Arrival] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)  # recipients, by reply code
    connections: int = 0
    on_arrival: Callable[[Arrival], None] | None = None

    def __post_init__(self) -> None:
        self._random = random.Random(self.manners.seed)  # noqa: S311 -- a chance of trouble
        self._refusals = [
            (re.compile(fnmatch.translate(refusal.pattern)), refusal.reply.encode() + b"\r\n")
            for refusal in self.manners.refusals
        ]
        self._server: asyncio.Server | None = None
        self._sessions: set[Session] = set()
        self._changed = asyncio.Event()
        self._cpu = 0.0  # of this process before it began

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. OSError when that is impossible, ValueError for an address beyond loopback."""
        if self.host != "localhost" and not ipaddress.ip_address(self.host).is_loopback:
            raise ValueError(f"{self.host} is not a loopback address")
        self._cpu = time.process_time()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Session(self), self.host, self.port, backlog=4096
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, and cut the connections that are still open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for session in tuple(self._sessions):
            session.transport.abort()

    async def arrived(self, count: int, seconds: float = 30.0) -> list[Arrival]:
        """The arrivals, when there are *count*; TimeoutError says how many are missing."""
        try:
            async with asyncio.timeout(seconds):
                while len(self.arrivals) < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"{len(self.arrivals)} of {count} messages arrived") from None
        return self.arrivals

    def summary(self) -> dict[str, object]:
        """Counts, rate from the first arrival to the last, CPU of this process since `start`."""
        outcomes = Counter(arrival.outcome for arrival in self.arrivals)
        times = [arrival.at for arrival in self.arrivals]
        span = max(times) - min(times) if times else 0.0
        cpu = time.process_time() - self._cpu
        return {
            "arrived": len(self.arrivals),
            **{str(outcome): outcomes[outcome] for outcome in Outcome},
            "distinct": len({arrival.id for arrival in self.arrivals}),
            "recipients": sum(len(arrival.recipients) for arrival in self.arrivals),
            "octets": sum(arrival.size for arrival in self.arrivals),
            "refused": dict(self.refused),
            "connections": self.connections,
            "per_second": round(len(times) / span, 1) if span else None,
            "cpu_us_per_message": round(cpu / len(times) * 1e6, 1) if times else None,
        }

    # Called by sessions.

    def chance(self) -> float:
        """A number in [0, 1), by the seed."""
        return self._random.random()

    def opened(self, session: Session) -> None:
        """Count a connection."""
        self.connections += 1
        self._sessions.add(session)

    def closed(self, session: Session) -> None:
        """Forget a connection."""
        self._sessions.discard(session)

    def refusal(self, address: str) -> bytes | None:
        """The reply that refuses *address*, if there is one."""
        for pattern, reply in self._refusals:
            if pattern.match(address):
                self.refused[reply[:3].decode()] += 1
                return reply
        return None

    def take(self, arrival: Arrival) -> None:
        """Remember *arrival*."""
        self.arrivals.append(arrival)
        self._changed.set()
        if self.on_arrival is not None:
            self.on_arrival(arrival)


def log_line(arrival: Arrival) -> str:
    """An arrival as the log has it: tab-separated, times with microseconds."""
    return (
        f"{arrival.started:.6f}\t{arrival.at:.6f}\t{arrival.outcome}\t{arrival.id or '-'}\t"
        f"{arrival.size}\t{','.join(arrival.recipients)}\n"
    )


async def serve(sink: Sink, log: Path | None, save: Path | None) -> None:
    """Run *sink* until a signal; one JSON line at the start, one at the end.

    Contents that it keeps go to the folder *save*, each before its line is in *log*.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with sink:
        print(json.dumps({"listening": f"{sink.host}:{sink.port}"}), flush=True)
        written = 0
        with (log or Path(os.devnull)).open("w") as file:
            while not stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), 0.5)
                fresh = sink.arrivals[written:]
                if save is not None and written < sink.manners.keep_first:
                    _save(fresh, save, written)
                file.writelines(map(log_line, fresh))
                written += len(fresh)
                file.flush()
    print(json.dumps(sink.summary()), flush=True)


def _save(arrivals: Sequence[Arrival], folder: Path, first: int) -> None:
    for number, arrival in enumerate(arrivals, first):
        if arrival.content:
            (folder / f"{number}.eml").write_bytes(arrival.content)


def main(arguments: Sequence[str]) -> None:
    """The program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--listen", default="127.0.0.1:2600", metavar="HOST:PORT")
    parser.add_argument("--log", type=Path, help="file for a line per arrival")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="for the first messages")
    parser.add_argument("--save-first", type=int, default=0, metavar="N", help="how many")
    parser.add_argument(
        "--refuse", action="append", type=Refusal.parse, default=[], metavar="PATTERN=REPLY"
    )
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--cut", type=float, default=0.0, help="chance of no answer to the dot")
    parser.add_argument("--soft", type=float, default=0.0, help="chance of 451 to the dot")
    parser.add_argument("--seed", type=int, default=0, help="of these chances")
    given = parser.parse_args(arguments)
    host, _, port = given.listen.rpartition(":")
    manners = Manners(
        given.refuse,
        given.delay,
        given.cut,
        given.soft,
        given.seed,
        keep_first=given.save_first if given.save else 0,
    )
    loops = import_module("uvloop" if find_spec("uvloop") else "asyncio")
    with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
        runner.run(serve(Sink(manners, host.strip("[]"), int(port)), given.log, given.save))


if __name__ == "__main__":
    main(sys.argv[1:])
