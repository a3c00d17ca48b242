"""From an empty folder to the first accepted message."""

import json
import time
from collections.abc import Mapping
from typing import ClassVar

from bench.children import POSTHOUSE, ProgramFailed, answer
from bench.load import Load, Plan
from bench.load_session import CannotConnect, Door
from bench.onebox import Onebox
from bench.scenarios.stage import SIZE, Criterion, Stage
from bench.systems import DOMAIN


class Start:
    """A new folder each time; then a credential is made, as in the README."""

    name: ClassVar[str] = "start"
    forms: ClassVar[tuple[str, ...]] = (Onebox.name,)

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.criteria: Mapping[str, Criterion] = {
            "accepted": Criterion("start on an empty folder to the first accepted message, s", 3.0),
            "ready": Criterion("... of it until it is ready, s"),
            "credential": Criterion("... of it the command that makes the credential, s"),
        }

    def seconds(self, rounds: int) -> float:
        """See Scenario."""
        return rounds * 8.0

    async def prepare(self, rounds: int) -> None:
        """See Scenario: nothing."""

    async def round(self, number: int) -> Mapping[str, float]:
        """See Scenario."""
        system = self._stage.install(f"{self.name}-{number}")
        assert isinstance(system, Onebox)
        self._stage.tell("starting", 0, 0)
        began = time.monotonic()
        try:
            port = (await system.up())["submission"][0]["port"]
            ready = time.monotonic()
            create = [POSTHOUSE, "credential", "create", "--domain", DOMAIN, "--json"]
            made = json.loads(await answer(create, system.environment))
            told = time.monotonic()
            door = Door("127.0.0.1", port, made["username"], made["secret"])
            await _submit(Plan(door, 1, 1, SIZE, f"news@{DOMAIN}"))
            accepted = time.monotonic()
        finally:
            await system.stop()
        return {
            "accepted": accepted - began,
            "ready": ready - began,
            "credential": told - ready,
        }


async def _submit(plan: Plan) -> None:
    try:
        sent = await Load(plan).run()
    except CannotConnect as error:
        raise ProgramFailed(str(error)) from error
    if not all(message.accepted for message in sent):
        raise ProgramFailed(f"the first message was answered {sent[0].code}")
