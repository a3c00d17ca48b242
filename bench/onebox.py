"""Posthouse in one process, PostgreSQL as its child."""

from pathlib import Path

from bench.accounting import open_account
from bench.children import POSTHOUSE, Child, stop_all
from bench.load_session import Door
from bench.systems import fresh_folder, make_customer


class Onebox:
    """`posthouse up`, as the README has it."""

    name = "onebox"
    title = "Posthouse, onebox"
    about_per_second = 1000.0

    def __init__(self, folder: Path, sink_port: int) -> None:
        self._folder = fresh_folder(folder, self.name)
        self._sink = f"127.0.0.1:{sink_port}"
        self._children: list[Child] = []
        self._door: Door | None = None
        self.dkim_record = b""
        self.version = ""
        self.account = open_account(self.name)

    @property
    def door(self) -> Door:
        """See System."""
        assert self._door is not None, "not started"
        return self._door

    async def prepare(self) -> None:
        """See System: everything is in our wheels."""

    async def start(self) -> None:
        """See System."""
        port = self._door.port if self._door is not None else 0
        command = [
            *(POSTHOUSE, "up", "--data", str(self._folder / "data"), "--route", self._sink),
            *("--listen", f"127.0.0.1:{port}/none", "--bounce-listen", "127.0.0.1:0"),
            *("--health-listen", "127.0.0.1:0", "--hostname", "relay.bench.example"),
        ]
        log = self._folder / "onebox.log"
        child = await Child.start(command, log, self.account, speaks=True)
        self._children.append(child)
        ready = await child.line()
        if self._door is None:
            env = {"POSTHOUSE_DATA": str(self._folder / "data")}
            port = ready["submission"][0]["port"]
            self._door, self.dkim_record = await make_customer(port, env)

    async def stop(self) -> None:
        """See System."""
        await stop_all(self._children)
