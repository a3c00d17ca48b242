"""Recipients' clients that ask for pixels and links: a constant rate, a connection for each.

    python -m bench.visiting --to 127.0.0.1:8080 --paths paths.txt --rate 500 --seconds 20

Requests are due at fixed times, whatever became of those before, and the latency of each counts
from when it was due to the end of its answer, so that the stall of a server is not hidden. It
prints one JSON line. Loopback only; each client has an address of its own in 127.0.0.0/8.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from bench.figures import percentile

_SILENCE_SECONDS = 10.0
_CLIENTS = 1 << 16
_HOST = "t.bench.example"
_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.0"


@dataclass
class Visitors:
    """Asks at *to* for *paths*, a random one each time."""

    to: tuple[str, int]
    paths: Sequence[str]
    rate: float
    milliseconds: list[float] = field(default_factory=list)  # of each answer
    answers: Counter[str] = field(default_factory=Counter)  # by kind and status

    async def run(self, seconds: float) -> None:
        """Come for *seconds*, and wait for the last answer."""
        chance = random.Random(0)  # noqa: S311 -- who clicks on what
        began = time.monotonic()
        async with asyncio.TaskGroup() as visits:
            for number in range(round(seconds * self.rate)):
                due = began + number / self.rate
                if (ahead := due - time.monotonic()) > 0:
                    await asyncio.sleep(ahead)
                client = chance.randrange(_CLIENTS)
                visits.create_task(self._visit(chance.choice(self.paths), client, due))

    async def _visit(self, path: str, client: int, due: float) -> None:
        address = f"127.1.{client >> 8}.{client & 255}"
        request = f"GET {path} HTTP/1.1\r\nHost: {_HOST}\r\nUser-Agent: {_AGENT}\r\n\r\n"
        status = "none"
        with suppress(OSError, TimeoutError, EOFError, ValueError):
            async with asyncio.timeout(_SILENCE_SECONDS):
                reader, writer = await asyncio.open_connection(*self.to, local_addr=(address, 0))
                writer.write(request.encode())
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
                writer.close()
            status = head[9:12].decode()
        self.milliseconds.append((time.monotonic() - due) * 1000)
        self.answers[f"{path[1]} {status}"] += 1


def main(arguments: Sequence[str]) -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--to", required=True, metavar="HOST:PORT")
    add("--paths", type=Path, required=True, help="a file, one each line")
    add("--rate", type=float, default=500.0, help="requests a second")
    add("--seconds", type=float, default=20.0)
    given = parser.parse_args(arguments)
    host, _, port = given.to.rpartition(":")
    if not host.startswith("127."):
        sys.exit(f"{host} is not a loopback address")
    visitors = Visitors((host, int(port)), given.paths.read_text().splitlines(), given.rate)
    loops = import_module("uvloop" if find_spec("uvloop") else "asyncio")
    with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
        runner.run(visitors.run(given.seconds))
    found = {f"p{n}": percentile(visitors.milliseconds, n / 100) for n in (50, 99, 100)}
    print(json.dumps({**found, "answers": visitors.answers}))


if __name__ == "__main__":
    main(sys.argv[1:])
