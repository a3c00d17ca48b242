"""A PostgreSQL and a standby of it, over TCP, each of which may be struck."""

import asyncio
import subprocess
from pathlib import Path

import asyncpg

from chaos.parts import kill_tree
from faults.database import ServerProcesses
from onebox.postgres_binaries import find_binaries
from onebox.postgres_data import data_of
from onebox.postgres_process import Child, find_runner
from servers.patience import eventually

STANDBY = "standby"


class Replica:
    """One of the two."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self._port = folder, port
        self.address = f"127.0.0.1:{port}"
        self.url = f"postgresql://posthouse@{self.address}/posthouse"
        self._child: Child | None = None

    async def start(self) -> None:
        """Return when it answers."""
        runner = find_runner()
        for path in (self.folder, *self.folder.rglob("*")):
            runner.own(path)
        data_of(self.folder).chmod(0o700)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": "",
        }
        options = [part for item in settings.items() for part in ("-c", "=".join(item))]
        program = find_binaries(None, major=None).folder / "postgres"
        command = [str(program), "-D", str(data_of(self.folder)), *options]
        self._child = runner.start(command, self.folder.with_suffix(".log"))
        await eventually(self._answers)

    async def follow(self, primary: "Replica") -> None:
        """Become its synchronous standby; returns when commits wait for it."""
        program = find_binaries(None, major=None).folder / "pg_basebackup"
        host, _, port = primary.address.partition(":")
        whom = f"host={host} port={port} user=posthouse application_name={STANDBY}"
        self.folder.mkdir()
        copy = (program, "-d", whom, "-D", data_of(self.folder), "-R", "--checkpoint=fast")
        await asyncio.to_thread(subprocess.run, copy, check=True, timeout=300)
        await self.start()
        await primary.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'")
        await primary.sql("SELECT pg_reload_conf()")
        waits = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"

        async def is_waited_for() -> bool:
            return bool(await primary.sql(waits))

        await eventually(is_waited_for)

    async def sql(self, statement: str) -> object:
        """The first value that *statement* gives here."""
        connection = await asyncpg.connect(self.url, timeout=10)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self._child is not None
        kill_tree(self._child.pid)
        self._child.wait()

    def fall_silent(self) -> None:
        """Have it stand still, its connections open, until it is killed."""
        ServerProcesses(data_of(self.folder)).freeze()

    def close(self) -> None:
        """End it, whatever state it is in."""
        if self._child is not None and self._child.poll() is None:
            self.kill()

    async def _answers(self) -> bool:
        try:
            return await self.sql("SELECT true") is True
        except (OSError, asyncpg.PostgresError):
            return False
