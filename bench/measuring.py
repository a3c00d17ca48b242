"""One run of one system: check what it signs, then a closed loop, then a fixed rate."""

import functools
from collections.abc import Callable
from pathlib import Path

import dkim
from bench.accounting import open_account
from bench.children import PYTHON, Child
from bench.figures import Figures, Work, figures
from bench.load import Load, Plan
from bench.load_session import CannotConnect
from bench.observing import Observer
from bench.sink import Sink
from bench.sink_session import Arrival, Manners
from bench.systems import DOMAIN, System

_CHECKED = 20  # messages whose signatures are verified


class RunFailed(Exception):
    """A system did not do the work it is measured by; the text says what was wrong."""


class Measuring:
    """Runs systems one at a time, each between a load generator and a sink of its own."""

    def __init__(
        self, work: Work, sink_port: int, folder: Path, tell: Callable[[str, int, int], None]
    ) -> None:
        """Logs lie in *folder*; *tell* is told what is done, of how many, and how many so far."""
        self._work = work
        self._sink_port = sink_port
        self._folder = folder
        self._tell = tell

    async def run(self, system: System) -> Figures:
        """Start *system*, measure it, stop it. Raises RunFailed, ProgramFailed."""
        self._tell("starting", 0, 0)
        try:
            await system.start()
            self._tell("checking signatures", 0, 0)
            await self._check_signatures(system)
            return await self._measure(system)
        finally:
            self._tell("stopping", 0, 0)
            await system.stop()

    async def _check_signatures(self, system: System) -> None:
        plan = self._plan(system, _CHECKED)
        async with Sink(Manners(keep=True), port=self._sink_port) as sink:
            try:
                sent = await Load(plan).run()
                arrivals = await sink.arrived(_CHECKED)
            except (CannotConnect, TimeoutError) as error:
                raise RunFailed(f"{system.title}: {error}") from error
        if not all(message.accepted for message in sent):
            raise RunFailed(f"{system.title} answers {sent[0].code} to mail")
        for arrival in arrivals:
            if fault := signature_fault(arrival, system.dkim_record):
                raise RunFailed(f"{system.title}: {fault}")

    async def _measure(self, system: System) -> Figures:
        work, log = self._work, self._folder / "arrivals.tsv"
        log.write_text("")
        account = open_account("sink")
        listen = f"127.0.0.1:{self._sink_port}"
        command = [PYTHON, "-m", "bench.sink", "--listen", listen, "--log", str(log)]
        sink = await Child.start(command, self._folder / "sink.log", account, speaks=True)
        observer = Observer(system.account, account, log, self._folder)
        try:
            await sink.line()
            plan = self._plan(system, work.messages)
            closed = await observer.phase(plan, self._teller("closed loop", work.messages))
            plan = self._plan(system, work.paced_messages, first=work.messages, rate=work.rate)
            pace = f"{work.rate:g} a second"
            paced = await observer.phase(plan, self._teller(pace, work.paced_messages))
        finally:
            observer.close()
            await sink.stop()
            account.close()
        return figures(closed, paced)

    def _plan(self, system: System, messages: int, first: int = 0, rate: float = 0.0) -> Plan:
        return Plan(
            system.door,
            messages,
            self._work.connections,
            self._work.size,
            f"news@{DOMAIN}",
            first=first,
            rate=rate,
        )

    def _teller(self, phase: str, wanted: int) -> Callable[[int], None]:
        return functools.partial(self._tell, phase, wanted)


def signature_fault(arrival: Arrival, record: bytes) -> str:
    """What is wrong with the one signature that *arrival* should have; "" when nothing is."""
    text = arrival.content
    header = text.partition(b"\r\n\r\n")[0].lower()
    if (count := header.count(b"dkim-signature:")) != 1:
        return f"a message has {count} DKIM signatures"
    if b"c=relaxed/relaxed" not in header or b"a=rsa-sha256" not in header:
        return "a signature is not rsa-sha256, relaxed/relaxed"
    if not dkim.verify(text, dnsfunc=lambda *_, **__: record):
        return "a signature does not verify"
    return ""
