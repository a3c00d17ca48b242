"""Services run until a signal or a failure, then drain. Run as real processes with real signals."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from posthouse.running.service import SAME_STOP_SECONDS
from servers.patience import on_this_machine

PROGRAM = """
import asyncio, signal, socket, sys
from posthouse.running.tcp import Endpoint
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
            if self.behaviour == "drains":
                await asyncio.sleep(0.5)
                log.info("finished", example=self.name)
            if "hangs" in self.behaviour:
                await asyncio.sleep(60)
            if "fails" in self.behaviour:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    raise RuntimeError("TaskGroup is shutting down") from None
        finally:
            log.info("drained", example=self.name)

async def program():
    if sys.argv[1:] == ["lookups"]:
        for error in (socket.gaierror(-2, "not known"), ValueError("real")):
            asyncio.get_running_loop().create_future().set_exception(error)
        return 0
    if sys.argv[1:] == ["waits"]:
        log.info("started")
        await asyncio.sleep(60)
    behaviours = [b for b in sys.argv[2:] if b != "usr1"]
    services = {str(n): Example(str(n), b) for n, b in enumerate(behaviours)}
    health = Health(Endpoint("127.0.0.1", 0), {})
    parent = signal.SIGUSR1 if "usr1" in sys.argv else None
    return await run(services, health=health, grace=float(sys.argv[1]), break_off=parent)

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

            assert child.wait(on_this_machine(5)) == 0
        assert logged(seen) == ["signal_received", "stopping", "drained", "drained", "stopped"]
        assert seen[0]["service"] == "example"


def test_a_service_that_fails_ends_the_others_in_order_and_the_status_says_so() -> None:
    with program("5", "waits", "fails") as child:
        seen = events(child)

        assert child.wait(on_this_machine(5)) == 1
    failure = next(event for event in seen if event["event"] == "service_failed")
    assert "ValueError: broken" in failure["exception"]
    assert logged(seen)[-3:] == ["stopping", "drained", "stopped"]
    assert seen[-1]["failed"] == ["1"]


def test_a_service_that_ends_by_itself_is_a_failure() -> None:
    with program("5", "waits", "ends") as child:
        seen = events(child)

        assert child.wait(on_this_machine(5)) == 1
    assert "service_ended" in logged(seen)


def test_what_outlasts_the_grace_period_is_cancelled() -> None:
    with program("0.2", "hangs") as child:
        events(child, until="started")
        child.terminate()
        seen = events(child)

        assert child.wait(on_this_machine(5)) == 0
    assert logged(seen)[-3:] == ["service_cancelled", "drained", "stopped"]


def test_signals_at_the_same_time_are_one_stop() -> None:
    """As a terminal, systemd and a parent send them: the drain goes on."""
    with program("60", "drains") as child:
        events(child, until="started")
        for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
            child.send_signal(number)
        seen = events(child)

        assert child.wait(on_this_machine(5)) == 0
    assert logged(seen)[-3:] == ["finished", "drained", "stopped"]


def after_two_signals(child: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """What it logs after the first of two signals that mean two stops."""
    events(child, until="started")
    child.terminate()
    events(child, until="stopping")
    time.sleep(SAME_STOP_SECONDS + 0.2)
    child.terminate()
    return events(child)


def test_a_second_signal_later_ends_the_grace_period() -> None:
    with program("60", "hangs") as child:
        seen = after_two_signals(child)

        assert child.wait(on_this_machine(5)) == 0
    assert logged(seen) == ["signal_received", "broken_off", "drained", "stopped"]


def test_two_signals_at_once_break_off_once() -> None:
    with program("60", "hangs") as child:
        events(child, until="started")
        child.terminate()
        events(child, until="stopping")
        time.sleep(SAME_STOP_SECONDS + 0.2)
        for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
            child.send_signal(number)
        seen = events(child)

        assert child.wait(on_this_machine(5)) == 0
    assert logged(seen).count("broken_off") == 1


def test_what_fails_because_of_the_second_signal_is_one_line() -> None:
    with program("60", "hangs", "fails when cancelled") as child:
        seen = after_two_signals(child)

        assert child.wait(on_this_machine(5)) == 1
    (line,) = [event for event in seen if event["event"] == "service_broken_off"]
    assert line["reason"] == "RuntimeError"
    assert "exception" not in line


def test_a_process_with_a_parent_breaks_off_only_when_the_parent_says_so() -> None:
    """However often the terminal or systemd signals it."""
    with program("60", "usr1", "hangs") as child:
        events(child, until="started")
        child.terminate()
        events(child, until="stopping")
        time.sleep(SAME_STOP_SECONDS + 0.2)
        child.terminate()
        events(child, until="signal_received")
        child.send_signal(signal.SIGINT)
        events(child, until="signal_received")
        child.send_signal(signal.SIGUSR1)
        seen = events(child)

        assert child.wait(on_this_machine(5)) == 0
    assert logged(seen) == ["broken_off", "drained", "stopped"]


def test_a_look_up_that_fails_after_its_caller_gave_up_is_no_error() -> None:
    """Any other exception that was not retrieved is."""
    with program("lookups") as child:
        seen = events(child)

        assert child.wait(on_this_machine(5)) == 0
    assert [event["level"] for event in seen] == ["error"]
    assert "ValueError" in seen[0]["exception"]


def test_a_signal_before_anything_runs_ends_the_program() -> None:
    with program("waits") as child:
        events(child, until="started")
        child.terminate()

        assert child.wait(on_this_machine(5)) == 130


def test_a_low_limit_of_open_files_is_raised() -> None:
    """Ingest takes 2,000 connections; a shell allows 1,024 files."""
    code = """
import resource
from posthouse.running.service import main

async def program():
    return 0 if resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 2048 else 1

resource.setrlimit(resource.RLIMIT_NOFILE, (256, 2048))
raise SystemExit(main(program()))
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=on_this_machine(60))
    assert done.returncode == 0
