"""`posthouse` in processes of their own, without a second of imports for each.

A process that has imported every command and service is started once by each process of a run, and
forks for each program. What that has is what a program has: arguments, environment, standard
streams, signals, an exit status, and a death with those who started it. It is not told by `exec`:
tests of the command line, of its start and of the interpreter start it as a shell does.
"""

import ctypes
import gc
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

_MOST_OCTETS = 1 << 18  # of a request
_PR_SET_PDEATHSIG = 1

_one_at_a_time = Lock()


class Forked:
    """A program that runs, as subprocess.Popen shows it: `pid`, `poll`, `wait`, `send_signal`."""

    def __init__(
        self, arguments: Sequence[str], env: Mapping[str, str], streams: tuple[int, int, int]
    ) -> None:
        """`posthouse` with *arguments*; *streams*: descriptors of input, output, error output."""
        job = {"arguments": list(arguments), "env": dict(env), "folder": str(Path.cwd())}
        self.pid = int(_ask(job, streams))
        self._process = os.pidfd_open(self.pid)
        self._status: int | None = None

    def poll(self) -> int | None:
        """The exit status, None while it runs; negative when a signal ended it."""
        return self._status if self._status is not None else self._ended_within(0)

    def wait(self, timeout: float | None = None) -> int:
        """The same, when it has ended; raises subprocess.TimeoutExpired."""
        status = self._status if self._status is not None else self._ended_within(timeout)
        if status is None:
            raise subprocess.TimeoutExpired("posthouse", timeout or 0.0)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def _ended_within(self, seconds: float | None) -> int | None:
        if select.select([self._process], [], [], seconds)[0]:
            self._status = int(_ask({"ended": self.pid}))
            os.close(self._process)
        return self._status


def can_fork(env: Mapping[str, str]) -> bool:
    """Whether a program with *env* is what a fork gives: same interpreter, same network."""
    changed = {name for name in {*env, *os.environ} if env.get(name) != os.environ.get(name)}
    network = Path("/proc/thread-self/ns/net").readlink()
    return (
        "PYTEST_CURRENT_TEST" in os.environ  # long forms measure programs as operators start them
        and not any(name.startswith(("LD_", "PYTHON")) for name in changed)
        and network == Path(f"/proc/{_server()[0]}/ns/net").readlink()
    )


def _ask(request: Mapping[str, Any], streams: Sequence[int] = ()) -> str:
    with _one_at_a_time:
        _, line = _server()
        socket.send_fds(line, [json.dumps(request).encode()], list(streams))
        return line.recv(_MOST_OCTETS).decode()


@cache
def _server() -> tuple[int, socket.socket]:
    """Its process id, and the line to it; it ends with us, and all that it forked with it."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        command = [sys.executable, __file__, str(its.fileno())]
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, pass_fds=[its.fileno()], start_new_session=True
        )
    return server.pid, ours


def _serve(line: socket.socket) -> None:
    """Do what is asked; returns in a child only, which has become what was asked for."""
    while True:
        request, streams, _, _ = socket.recv_fds(line, _MOST_OCTETS, 3)
        if not request:
            sys.exit()
        asked = json.loads(request)
        if "ended" in asked:
            _, status = os.waitpid(asked["ended"], 0)
            line.send(str(os.waitstatus_to_exitcode(status)).encode())
            continue
        parent, child = os.getpid(), os.fork()
        if child == 0:
            line.close()
            _die_with(parent)
            _become(asked["arguments"], asked["env"], asked["folder"], streams)
            return
        for stream in streams:
            os.close(stream)
        line.send(str(child).encode())


def _die_with(parent: int) -> None:
    armed = ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0
    if not armed or os.getppid() != parent:
        os._exit(1)


def _become(arguments: list[str], env: dict[str, str], folder: str, streams: list[int]) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    os.chdir(folder)
    random.seed()  # or all would draw the same
    sys.argv = ["posthouse", *arguments]


def _import_all() -> None:
    for file in sorted(Path(import_module("command.commands").__path__[0]).glob("[a-z]*.py")):
        import_module(f"command.commands.{file.stem}")
    for name in ("demo.demo_commands", "onebox.worker"):  # which has every service
        import_module(name)


if __name__ == "__main__":
    _import_all()
    from command.cli import main

    gc.freeze()  # or collecting in a child would copy every page
    with socket.socket(fileno=int(sys.argv[1])) as _line:
        _serve(_line)
    main()
