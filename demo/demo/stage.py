"""The demo's parts: a relay, a sink that its mail goes to, and the operator's command."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from posthouse.running.tcp import Endpoint

_POSTHOUSE = (sys.executable, "-c", "from command.cli import main; main()")
_START_SECONDS = 90.0
_STOP_SECONDS = 30.0
_COMMAND_SECONDS = 60
_HTTP_SECONDS = 10
_SINK_DELAY = "1.0"
_LAST_WORDS = 2000  # characters of a log that are shown after a failure


class DemoFailed(Exception):
    """The relay or the sink cannot be used; the text contains their output."""


@dataclass(frozen=True, slots=True)
class DemoStage:
    """Where things are. The relay routes everything to the sink."""

    submission: Endpoint  # STARTTLS and AUTH
    report: Endpoint  # the sink's HTTP
    operator: tuple[str, ...]  # the `posthouse` command, to be completed

    def ask(self, *arguments: str) -> str:
        """The output of `posthouse` with *arguments*."""
        try:
            done = subprocess.run(  # noqa: S603 -- our own command
                [*self.operator, *arguments],
                env=_environment(),
                capture_output=True,
                text=True,
                timeout=_COMMAND_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DemoFailed(f"{' '.join(self.operator)}: {error}") from error
        if done.returncode != 0:
            raise DemoFailed(f"posthouse {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def received(self) -> dict[str, Any]:
        """The messages that the sink has accepted, and the recipients it has refused."""
        answer: dict[str, Any] = json.loads(self._get("/messages"))
        return answer

    def content(self, number: int) -> bytes:
        """The message of that *number* as the sink got it."""
        return self._get(f"/messages/{number}")

    def _get(self, path: str) -> bytes:
        try:
            with urllib.request.urlopen(
                f"http://{self.report}{path}", timeout=_HTTP_SECONDS
            ) as answer:
                content: bytes = answer.read()
                return content
        except (OSError, urllib.error.URLError) as error:
            raise DemoFailed(f"the sink does not answer at {self.report}: {error}") from error


@contextmanager
def local_stage() -> Iterator[DemoStage]:
    """A whole relay in a temporary folder, and a sink beside it."""
    with (
        TemporaryDirectory(prefix="posthouse-demo-", ignore_cleanup_errors=True) as name,
        ExitStack() as stack,
    ):
        folder = Path(name)
        if os.geteuid() == 0:  # its PostgreSQL may run as another user, see `Installation.ensure`
            folder.chmod(0o711)
        bounces = f"127.0.0.1:{_free_port()}"
        sink = stack.enter_context(_running(_sink(bounces), folder / "sink.log"))
        data = folder / "data"
        relay = stack.enter_context(
            _running(_relay(data, _endpoint(sink["smtp"]), bounces), folder / "relay.log")
        )
        yield DemoStage(
            submission=_endpoint(relay["submission"][0]),
            report=_endpoint(sink["report"]),
            operator=(*_POSTHOUSE, "--data", str(data)),
        )


def _sink(bounces: str) -> list[str]:
    return [
        *(*_POSTHOUSE, "sink", "--listen", "127.0.0.1:0", "--report", "127.0.0.1:0"),
        *("--bounces", bounces, "--delay", _SINK_DELAY),
    ]


def _relay(data: Path, sink: Endpoint, bounces: str) -> list[str]:
    return [
        *(*_POSTHOUSE, "up", "--data", str(data), "--route", str(sink)),
        *("--listen", "127.0.0.1:0/starttls_required", "--bounce-listen", bounces),
        *("--health-listen", "127.0.0.1:0", "--hostname", "relay.posthouse.example"),
        *("--tracking-listen", "127.0.0.1:0", "--console-listen", "127.0.0.1:0"),
    ]


def compose_stage(submission: Endpoint, report: Endpoint) -> DemoStage:
    """The stack that deploy/compose/demo.env describes, which is running."""
    stack = ("docker", "compose", "--env-file", "deploy/compose/demo.env")
    return DemoStage(submission, report, (*stack, "exec", "-T", "ingest", "posthouse"))


@contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator[dict[str, Any]]:
    """Run *command* until the context ends; gives the line that it prints when it is ready."""
    with log.open("wb") as said:
        child = subprocess.Popen(  # noqa: S603 -- our own command
            command,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            # Not in the terminal's process group: on ctrl-C we stop it ourselves.
            start_new_session=True,
        )
    try:
        yield _ready_line(child, log)
    finally:
        _end(child)


def _ready_line(child: "subprocess.Popen[bytes]", log: Path) -> dict[str, Any]:
    assert child.stdout is not None
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if not select.select([child.stdout], [], [], 0.2)[0]:
            continue
        line = child.stdout.readline()
        if not line:
            break
        if line.startswith(b"{"):
            ready: dict[str, Any] = json.loads(line)
            return ready
    last = log.read_text(errors="replace")[-_LAST_WORDS:].strip()
    raise DemoFailed(f"posthouse did not start: {last or 'without output'}")


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()


def _environment() -> dict[str, str]:
    """Our environment without settings of another installation."""
    return {name: value for name, value in os.environ.items() if not name.startswith("POSTHOUSE_")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _endpoint(address: dict[str, Any]) -> Endpoint:
    return Endpoint(address["host"], address["port"])
