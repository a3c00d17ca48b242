"""Services run until a signal or a failure, then drain. Run as real processes with real signals."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PROGRAM = """
import asyncio, sys
from posthouse.running.endpoint import Endpoint
from posthouse.running.health import Health
from posthouse.running.logs import configure
from posthouse.running.service import main, run
import structlog

configure("example")
log = structlog.get_logger()

class Example:
    def __init__(self, name, behaviour):
        self.name, self.behaviour = name, behaviour

    async def run(self, stopping):
        log.info("started", example=self.name)
        if self.behaviour == "fails":
            await asyncio.sleep(0.1)
            raise ValueError("broken")
        if self.behaviour == "ends":
            return
        try:
            await stopping.wait()
            if self.behaviour == "hangs":
                await asyncio.sleep(60)
        finally:
            log.info("drained", example=self.name)

async def program():
    if sys.argv[1:] == ["waits"]:
        log.info("started")
        await asyncio.sleep(60)
    services = {str(n): Example(str(n), b) for n, b in enumerate(sys.argv[2:])}
    health = Health(Endpoint("127.0.0.1", 0), {})
    return await run(services, health=health, grace=float(sys.argv[1]))

sys.exit(main(program()))
"""


@contextmanager
def program(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def events(child: subprocess.Popen[str], until: str | None = None) -> list[dict[str, Any]]:
    """What the program logged, up to the event *until* or its end."""
    assert child.stdout is not None
    seen: list[dict[str, Any]] = []
    for line in child.stdout:
        seen.append(json.loads(line))
        if seen[-1]["event"] == until:
            break
    return seen


def logged(seen: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in seen]


def test_a_signal_drains_every_service_and_ends_with_status_0() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with program("5", "waits", "waits") as child:
            events(child, until="started")
            events(child, until="started")
            child.send_signal(number)
            seen = events(child)

            assert child.wait(5) == 0
        assert logged(seen) == ["signal_received", "stopping", "drained", "drained", "stopped"]
        assert seen[0]["service"] == "example"


def test_a_service_that_fails_ends_the_others_in_order_and_the_status_says_so() -> None:
    with program("5", "waits", "fails") as child:
        seen = events(child)

        assert child.wait(5) == 1
    failure = next(event for event in seen if event["event"] == "service_failed")
    assert "ValueError: broken" in failure["exception"]
    assert logged(seen)[-3:] == ["stopping", "drained", "stopped"]
    assert seen[-1]["failed"] == ["1"]


def test_a_service_that_ends_by_itself_is_a_failure() -> None:
    with program("5", "waits", "ends") as child:
        seen = events(child)

        assert child.wait(5) == 1
    assert "service_ended" in logged(seen)


def test_what_outlasts_the_grace_period_is_cancelled() -> None:
    with program("0.2", "hangs") as child:
        events(child, until="started")
        child.terminate()
        seen = events(child)

        assert child.wait(5) == 0
    assert logged(seen)[-3:] == ["service_cancelled", "drained", "stopped"]


def test_a_second_signal_ends_the_grace_period() -> None:
    with program("60", "hangs") as child:
        events(child, until="started")
        child.terminate()
        events(child, until="stopping")
        child.terminate()
        seen = events(child)

        assert child.wait(5) == 0
    assert logged(seen) == ["signal_received", "drained", "stopped"]


def test_a_signal_before_anything_runs_ends_the_program() -> None:
    with program("waits") as child:
        events(child, until="started")
        child.terminate()

        assert child.wait(5) == 130
