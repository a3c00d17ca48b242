"""A sink in a process of its own, and the messages that have arrived there."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self, TextIO

from bench.accounting import Account, open_account
from bench.children import PYTHON, Child, ProgramFailed
from bench.figures import Arrived

_LOOK_SECONDS = 0.2


class Receiving:
    """Reads the log of a sink as it grows."""

    def __init__(self, account: Account, log: TextIO, saved: Path) -> None:
        self.account = account
        self._log = log
        self._begun = ""  # the part of a line that the sink has not finished yet
        self._saved = saved

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int, folder: Path, *, save_first: int = 0) -> AsyncIterator[Self]:
        """Run a sink at *port*; it can save the first messages. Its files are in *folder*."""
        log, saved = folder / "arrivals.tsv", folder / "saved"
        log.write_text("")
        shutil.rmtree(saved, ignore_errors=True)
        saved.mkdir()
        account = open_account("sink")
        command = [
            *(PYTHON, "-m", "bench.sink", "--listen", f"127.0.0.1:{port}", "--log", str(log)),
            *("--save", str(saved), "--save-first", str(save_first)),
        ]
        sink = await Child.start(command, folder / "sink.log", account, speaks=True)
        try:
            await sink.line()
            with log.open() as lines:
                yield cls(account, lines, saved)
        finally:
            await sink.stop()
            account.close()

    def new(self) -> list[Arrived]:
        """Arrivals since the last call."""
        *lines, self._begun = (self._begun + self._log.read()).split("\n")
        return [Arrived.read(line) for line in lines]

    async def next(self, count: int, seconds: float) -> list[Arrived]:
        """At least *count* more arrivals. ProgramFailed when none comes for *seconds*."""
        arrived: list[Arrived] = []
        progress = time.monotonic()
        while len(arrived) < count:
            await asyncio.sleep(_LOOK_SECONDS)
            if fresh := self.new():
                arrived += fresh
                progress = time.monotonic()
            elif time.monotonic() - progress > seconds:
                raise ProgramFailed(f"{len(arrived)} of {count} messages arrived")
        return arrived

    def saved(self) -> list[bytes]:
        """The messages that were saved."""
        return [path.read_bytes() for path in self._saved.iterdir()]
