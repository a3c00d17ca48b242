"""A server process of the tests that cannot outlive them."""

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from servers.patience import on_this_machine

_GUARDIAN = Path(__file__).with_name("guardian.py")


class Guarded:
    """A command that runs until it is told to end, or until this process ends in any way."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], output: Path) -> None:
        with output.open("ab") as sink:
            self._guardian = subprocess.Popen(
                [sys.executable, "-I", str(_GUARDIAN), *command],
                stdin=subprocess.PIPE,
                stdout=sink,
                stderr=sink,
                env=dict(env),
            )

    @property
    def running(self) -> bool:
        """It has not ended yet."""
        return self._guardian.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send the server a signal, if it has not ended."""
        if self._guardian.stdin is None:
            return
        with suppress(BrokenPipeError):
            self._guardian.stdin.write(number.name.removeprefix("SIG").encode() + b"\n")
            self._guardian.stdin.flush()

    def freeze(self, patience: float = 10.0) -> None:
        """Stop the server (SIGSTOP), and return when it stands still."""
        self.send(signal.SIGSTOP)
        deadline = time.monotonic() + on_this_machine(patience)
        while self._state() != "T" and time.monotonic() < deadline:
            time.sleep(0.01)

    @property
    def pid(self) -> int | None:
        """Of the server itself; None before it was started and after it ended."""
        guardian = self._guardian.pid
        children = Path(f"/proc/{guardian}/task/{guardian}/children").read_text().split()
        return int(children[0]) if children else None

    def _state(self) -> str:
        """The state of the server's process, as proc(5) names it."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def end(self, number: signal.Signals, patience: float = 20.0) -> None:
        """Send a signal that ends the server, and return when it has; at last it is killed."""
        self.send(number)
        try:
            self._guardian.wait(on_this_machine(patience))
        except subprocess.TimeoutExpired:
            if self._guardian.stdin is not None:
                self._guardian.stdin.close()
            self._guardian.wait(on_this_machine(patience))
