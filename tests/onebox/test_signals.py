"""Every way to stop `posthouse up` drains: nothing is broken off, and nothing is sent twice."""

import asyncio
import fcntl
import os
import pty
import signal
import subprocess
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from bench.sink_session import Manners

from chaos.flow import flowing
from chaos.ledger import Ledger
from chaos.program import POSTHOUSE, Program, children
from chaos.relay import Onebox
from posthouse.running.service import SAME_STOP_SECONDS
from servers.patience import until

MESSAGES = 270
SLOW = Manners(delay=1.0)  # so that a hundred are on the wire at the signal
INTERRUPT = b"\x03"  # ctrl-C


class OnTerminal(Program):
    """A program in the foreground of a terminal of its own, as from a shell."""

    def launch(self) -> None:
        """See Program."""
        self.terminal, theirs = pty.openpty()

        def take_terminal() -> None:
            os.setsid()
            fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

        with self._log.open("ab") as said:
            self._child = subprocess.Popen(
                self._command,
                env=self._env,
                stdin=theirs,
                stdout=said,
                stderr=said,
                preexec_fn=take_terminal,  # noqa: PLW1509 -- two system calls, no locks
            )
        os.close(theirs)

    def type(self, octets: bytes) -> None:
        """Press keys at its terminal."""
        os.write(self.terminal, octets)


def tree(pid: int) -> list[int]:
    """The process, and all that descend from it."""
    return [pid, *(found for child in children(pid) for found in tree(child))]


def by_terminal(program: OnTerminal) -> None:
    program.type(INTERRUPT)


def to_group(program: OnTerminal) -> None:
    os.killpg(program.pid, signal.SIGTERM)


def to_all(program: OnTerminal) -> None:
    """As systemd does by default: also to the database and its children."""
    for pid in tree(program.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def to_parent(program: OnTerminal) -> None:
    os.kill(program.pid, signal.SIGTERM)


@pytest_asyncio.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Onebox]:
    """A relay with two workers on a terminal."""
    made = Onebox(tmp_path, {"POSTHOUSE_WORKERS": "2", "POSTHOUSE_LOG_LEVEL": "info"})
    plain = made.program
    made.program = OnTerminal((POSTHOUSE, "up"), plain._env, plain._log, plain._health)
    try:
        await made.start()
        yield made
    finally:
        await made.close()


@pytest.mark.parametrize("stop", [by_terminal, to_group, to_all, to_parent])
async def test_every_signal_drains(relay: Onebox, stop: Callable[[OnTerminal], None]) -> None:
    program = relay.program
    assert isinstance(program, OnTerminal)
    async with flowing(relay, MESSAGES, manners=SLOW) as flow:
        await until(lambda: flow.accepted == MESSAGES)
        on_wire = MESSAGES - flow.arrived

        stop(program)

        assert await program.ended(40) == 0
        assert on_wire > 0
        await program.start()
        count = await flow.all_through(60)
    assert MESSAGES == flow.arrived
    assert 0 == count.doubled
    assert 0 == (await Ledger(relay.database_url).events(flow._since))["uncertain"]


async def test_a_second_ctrl_c_breaks_off_without_a_traceback(relay: Onebox) -> None:
    """It is deliberate when it comes a second or more after the first; what it costs is counted."""
    program = relay.program
    assert isinstance(program, OnTerminal)
    async with flowing(relay, 50, manners=Manners(delay=30.0)) as flow:
        await until(lambda: flow.accepted == 50)
        program.type(INTERRUPT)
        await until(lambda: "stopping" in program._log.read_text())
        await asyncio.sleep(SAME_STOP_SECONDS + 0.2)
        ended = program._log.read_text().count('"stopped"')  # a worker that had nothing to send
        program.type(INTERRUPT)

        await program.ended(10)
    said = program._log.read_text()
    assert ended < 2
    assert said.count('"broken_off"') == 3 - ended  # the parent and the workers that still send
    assert "Traceback" not in said
    assert "exception" not in said
