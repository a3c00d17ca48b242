"""One run of one system: check its signatures, then a closed loop, then a fixed rate."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dkim
from bench.figures import Figures, Work, figures
from bench.load import Load, Plan
from bench.load_session import CannotConnect
from bench.observing import Observer
from bench.receiving import Receiving
from bench.systems import DOMAIN, System

_CHECKED = 20  # messages whose signatures are verified
_CHECKED_FIRST = 10**9  # their numbers belong to no series
_CHECK_SECONDS = 30.0


class RunFailed(Exception):
    """A system did not do its work; the text says what was wrong."""


class Measuring:
    """Runs systems one at a time, each between a load generator and a sink of its own."""

    def __init__(
        self, work: Work, sink_port: int, folder: Path, tell: Callable[[str, int, int], None]
    ) -> None:
        """Logs go to *folder*; *tell* gets the phase, the number wanted, and the number so far."""
        self._work = work
        self._sink_port = sink_port
        self._folder = folder
        self._tell = tell

    async def run(self, system: System) -> Figures:
        """Start *system*, measure it, stop it. Raises RunFailed, ProgramFailed."""
        self._tell("starting", 0, 0)
        # The sink runs from before to after: a relay notes it as a failure when a host hangs up.
        async with Receiving.open(self._sink_port, self._folder, save_first=_CHECKED) as receiving:
            try:
                await system.start()
                self._tell("checking signatures", 0, 0)
                await self._check_signatures(system, receiving)
                return await self._measure(system, receiving)
            finally:
                self._tell("stopping", 0, 0)
                await system.stop()

    async def _check_signatures(self, system: System, receiving: Receiving) -> None:
        try:
            sent = await Load(self._plan(system, _CHECKED, first=_CHECKED_FIRST)).run()
        except CannotConnect as error:
            raise RunFailed(f"{system.title}: {error}") from error
        if not all(message.accepted for message in sent):
            raise RunFailed(f"{system.title} answers {sent[0].code} to mail")
        await receiving.next(_CHECKED, _CHECK_SECONDS)
        for text in receiving.saved():
            if fault := signature_fault(text, system.dkim_record):
                raise RunFailed(f"{system.title}: {fault}")

    async def _measure(self, system: System, receiving: Receiving) -> Figures:
        work = self._work
        observer = Observer(system.account, receiving, self._folder)
        copies = work.recipients
        plan = self._plan(system, work.messages, recipients=copies)
        closed = await observer.phase(plan, self._teller("closed loop", work.messages))
        plan = self._plan(
            system, work.paced_messages, first=work.messages, rate=work.rate, recipients=copies
        )
        pace = f"{work.rate:g} a second"
        paced = await observer.phase(plan, self._teller(pace, work.paced_messages))
        return figures(closed, paced, copies)

    def _plan(self, system: System, messages: int, **given: Any) -> Plan:
        return Plan(
            system.door,
            messages,
            self._work.connections,
            self._work.size,
            f"news@{DOMAIN}",
            **given,
        )

    def _teller(self, phase: str, wanted: int) -> Callable[[int], None]:
        return functools.partial(self._tell, phase, wanted)


def signature_fault(text: bytes, record: bytes) -> str:
    """What is wrong with the one signature that *text* should have; "" when it is right."""
    header = text.partition(b"\r\n\r\n")[0].lower()
    if (count := header.count(b"dkim-signature:")) != 1:
        return f"a message has {count} DKIM signatures"
    if b"c=relaxed/relaxed" not in header or b"a=rsa-sha256" not in header:
        return "a signature is not rsa-sha256, relaxed/relaxed"
    if not dkim.verify(text, dnsfunc=lambda *_, **__: record):
        return "a signature does not verify"
    return ""
