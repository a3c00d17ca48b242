"""The line that `posthouse up` prints when it is ready."""

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ingest.listeners import Listener
from onebox.all_settings import UpSettings
from onebox.postgres_server import EmbeddedPostgres
from posthouse.running.health import Health
from posthouse.running.tcp import Endpoint

_LISTENING = (
    ("bounces", ""),
    ("tracking", ""),
    ("console", ""),
    ("health", "  /healthz/ready, /metrics"),
)


@dataclass(frozen=True, slots=True)
class RunningRelay:
    """The addresses and process ids that the ready line names."""

    settings: UpSettings
    submission: Sequence[Listener]
    listening: Mapping[str, Endpoint]  # by service
    workers: Sequence[int]
    postgres: EmbeddedPostgres | None

    def told(self, health: Endpoint) -> dict[str, Any]:
        """As the ready line has it."""
        folder = str(self.settings.installation.folder.absolute())
        return {
            "event": "ready",
            "submission": [_submission(listener) for listener in self.submission],
            **{name: _address(at) for name, at in self.listening.items()},
            "health": _address(health),
            "data": folder,
            "pids": {
                "up": os.getpid(),
                **{f"worker {n}": pid for n, pid in enumerate(self.workers, start=1)},
                **({"postgres": self.postgres.pid} if self.postgres else {}),
            },
            "credential": f"{_command()} --data {folder} credential create --domain example.com",
        }


class ReadyLine:
    """Prints one JSON line with all addresses, once everything is ready."""

    def __init__(self, relay: RunningRelay, health: Health) -> None:
        self._relay = relay
        self._health = health

    async def run(self, stopping: asyncio.Event) -> None:
        """Print the line, and on a terminal a summary as text; then wait."""
        facts = self._relay.told(self._health.address)
        # Without Python's buffer: on a full disk the text is lost, and mail goes on.
        with contextlib.suppress(OSError):
            os.write(sys.stdout.fileno(), msgspec.json.encode(facts) + b"\n")
        if sys.stderr.isatty():
            sys.stderr.write(_readable(facts))
        await stopping.wait()


def _command() -> str:
    """How the user can call this program again: by its name only if PATH leads here."""
    called = Path(sys.argv[0]).absolute()
    if called.name != "posthouse" or shutil.which("posthouse") == str(called):
        return "posthouse"
    return os.path.relpath(called) if called.is_relative_to(Path.cwd()) else str(called)


def _address(endpoint: Endpoint) -> dict[str, Any]:
    return {"host": endpoint.host, "port": endpoint.port}


def _submission(listener: Listener) -> dict[str, Any]:
    last = {"last_port": listener.ports[-1]} if len(listener.ports) > 1 else {}
    first = Endpoint(listener.host, listener.ports[0])
    return {**_address(first), **last, "tls": listener.tls.value}


def _readable(facts: Mapping[str, Any]) -> str:
    lines = ["", "Posthouse is ready."]
    for at in facts["submission"]:
        last = f"-{at['last_port']}" if "last_port" in at else ""
        lines.append(f"  submission  {at['host']}:{at['port']}{last}  {at['tls']}")
    lines += [
        f"  {name:<10}  {facts[name]['host']}:{facts[name]['port']}{rest}"
        for name, rest in _LISTENING
    ]
    lines += [f"  data        {facts['data']}", "A user and secret for an application:"]
    return "\n".join([*lines, f"  {facts['credential']}", "Ctrl-C ends it.", "", ""])
