"""Pixels and links of mail that was sent, asked for while a relay works."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from bench.children import PYTHON, Child, ProgramFailed
from bench.load import Plan
from bench.load_session import Door
from bench.onebox import Onebox
from bench.scenarios.stage import Criterion, Stage
from bench.scenarios.tracking import make_door
from bench.split import Split

_MAILING = 500  # tracked messages, whose links are asked for
_MESSAGES = 2_000  # that go out meanwhile
_RATE = 100.0  # of these, a second
_VISITS = 500.0  # a second
_PATH = re.compile(rb"http://t\.bench\.example(/[co]/[\w-]+)")
_GOOD = {"c 302", "o 200"}


class Links:
    """How soon each is answered, from when it was due; a connection each, from many addresses."""

    name: ClassVar[str] = "links"
    forms: ClassVar[tuple[str, ...]] = (Onebox.name, Split.name)

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._messages = stage.scaled(_MESSAGES)
        self._door: Door | None = None
        self.criteria: Mapping[str, Criterion] = {
            "p99": Criterion(
                f"{_VISITS:g} links and pixels a second beside {_RATE:g} messages: p99, ms",
                5.0,
                2,
            ),
            "p50": Criterion("... p50, ms", digits=2),
            "worst": Criterion("... the slowest of all, ms", digits=1),
            "cpu": Criterion("... us of CPU to answer one and write it as an event", digits=0),
        }

    def seconds(self, rounds: int) -> float:
        """See Scenario."""
        return rounds * (_MAILING / 300 + 2 * (self._messages / _RATE + 4) + 15)

    async def prepare(self, rounds: int) -> None:
        """See Scenario."""
        _ = rounds
        self._system = self._stage.install(self.name)
        if isinstance(self._system, Split):
            self._system.add_tracking()

    async def round(self, number: int) -> Mapping[str, float]:
        """See Scenario."""
        _ = number
        stage, system = self._stage, self._system
        assert isinstance(system, (Onebox, Split))
        async with stage.running(system, save_first=_MAILING) as receiving:
            self._door = self._door or await make_door(system, self.name, is_tracked=True)
            mailing = stage.plan(system, _MAILING, newsletter=True)
            await stage.phase(system, receiving, replace(mailing, door=self._door), "mailing")
            paths = stage.folder / "paths.txt"
            found = [path for text in receiving.saved() for path in _PATH.findall(text)]
            paths.write_bytes(b"\n".join(found))
            quiet = await stage.phase(system, receiving, self._paced(), "alone")
            async with asyncio.TaskGroup() as both:
                visits = both.create_task(self._visited(system, paths))
                paced = stage.phase(system, receiving, self._paced(), "with visits")
                busy = await both.create_task(paced)
        told = visits.result()
        if wrong := {answer: n for answer, n in told["answers"].items() if answer not in _GOOD}:
            raise ProgramFailed(f"of {told['answers']} these are wrong: {wrong}")
        spent = (busy.system_seconds - quiet.system_seconds) * 1e6 / sum(told["answers"].values())
        return {"p50": told["p50"], "p99": told["p99"], "worst": told["p100"], "cpu": spent}

    def _paced(self) -> Plan:
        return self._stage.plan(self._system, self._messages, rate=_RATE)

    async def _visited(self, system: Onebox | Split, paths: Path) -> dict[str, Any]:
        """What the visitors found, who come for as long as messages are sent."""
        seconds = self._messages / _RATE
        command = [
            *(PYTHON, "-m", "bench.visiting", "--to", system.tracking, "--paths", str(paths)),
            *("--rate", str(_VISITS), "--seconds", str(seconds)),
        ]
        log = self._stage.folder / "visiting.log"
        child = await Child.start(command, log, speaks=True)
        try:
            return await child.line(seconds + 60)
        finally:
            await child.stop()
