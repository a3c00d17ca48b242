"""Posthouse in one process, PostgreSQL as its child."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.accounting import open_account
from bench.children import POSTHOUSE, Child, stop_all
from bench.load_session import Door
from bench.systems import TRACKING_URL, fresh_folder, make_customer, our_version

# Profiles say what is tracked, and accounts where they are told; the usual ones nothing.
_SETTINGS = {
    "POSTHOUSE_TRACKING_URL": TRACKING_URL,
    "POSTHOUSE_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    "POSTHOUSE_WEBHOOK_ALLOW_HTTP": "true",
}


class Onebox:
    """`posthouse up`, as in the README."""

    name = "onebox"
    title = "Posthouse, onebox"
    about_per_second = 1000.0
    hops = 3

    def __init__(self, folder: Path, sink_port: int) -> None:
        self._folder = fresh_folder(folder, self.name)
        self._sink = f"127.0.0.1:{sink_port}"
        self._children: list[Child] = []
        self._door: Door | None = None
        self.dkim_record = b""
        self.version = ""
        self.tracking = ""  # where links lead, after `start`
        self.database = self._folder / "data" / "postgres"
        self.account = open_account(self.name)

    @property
    def door(self) -> Door:
        """See System."""
        assert self._door is not None, "not started"
        return self._door

    async def prepare(self) -> None:
        """See System: everything is in our wheels."""
        self.version = our_version()

    async def start(self) -> None:
        """See System."""
        ready = await self.up()
        self.tracking = "{host}:{port}".format(**ready["tracking"])
        if self._door is None:
            port = ready["submission"][0]["port"]
            self._door, self.dkim_record = await make_customer(port, self.environment)

    async def up(self) -> dict[str, Any]:
        """Start it; the JSON line that it prints when it is ready."""
        port = self._door.port if self._door is not None else 0
        command = [
            *(POSTHOUSE, "up", "--data", str(self._folder / "data"), "--route", self._sink),
            *("--listen", f"127.0.0.1:{port}/none", "--bounce-listen", "127.0.0.1:0"),
            *("--tracking-listen", "127.0.0.1:0", "--console-listen", "127.0.0.1:0"),
            *("--health-listen", "127.0.0.1:0", "--hostname", "relay.bench.example"),
        ]
        log = self._folder / "onebox.log"
        child = await Child.start(command, log, self.account, env=_SETTINGS, speaks=True)
        self._children.append(child)
        return await child.line()

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment by which commands find this installation."""
        return {**_SETTINGS, "POSTHOUSE_DATA": str(self._folder / "data")}

    async def stop(self) -> None:
        """See System."""
        await stop_all(self._children)
