"""A real PostgreSQL as a child of this process: for one machine, without set-up or root."""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import asyncpg
import structlog

from onebox.postgres_binaries import Binaries, NoPostgres, PostgresError, find_binaries
from onebox.postgres_data import INITDB_SECONDS, DidNotStart, InitDb, data_of
from onebox.postgres_folder import (
    NAME,
    FolderInUse,
    dsn,
    identity,
    lock,
    made_by,
    remove_socket_folder,
    socket_folder,
    survivor,
)
from onebox.postgres_process import POLL_SECONDS, Child, Runner, ServerLog, ended, find_runner
from onebox.postgres_wal import is_scarce, reuse
from posthouse.running.waiting import wait_before_retry, wait_for_event

__all__ = ["DidNotStart", "EmbeddedPostgres", "FolderInUse", "NoPostgres", "PostgresError", "dsn"]

log = structlog.get_logger()

_START_SECONDS = 120.0  # recovery reads up to a gigabyte of log
_LEFTOVER_SECONDS = 10.0  # how long processes of a killed predecessor may take to end
_STOP_SECONDS = 30.0
_FORCED_STOP_SECONDS = 5.0
_CONNECT_SECONDS = 10.0
_WATCH_SECONDS = 0.2
_LOG_CHECK_SECONDS = 1.0

# For a mail queue: commits are durable; many small rows come and go.
_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "synchronous_commit": "on",
    "fsync": "on",
    "wal_compression": "on",
    "max_wal_size": "1GB",
    "min_wal_size": "128MB",
    "checkpoint_timeout": "5min",
    # After a crash, one call for the whole disk: a call for each file takes seconds for a thousand.
    "recovery_init_sync_method": "syncfs",
    "autovacuum_naptime": "5s",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A row that breaks a rule would be quoted in the log, message and all.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
}


class EmbeddedPostgres:
    """Runs PostgreSQL on *folder*, making its data at the first start.

    Reachable only through a socket in a folder that no other user may enter. It ends with this
    process, however that ends; committed data is there at the next start. *options* override
    settings of the server, *binaries* is where its programs are (found by itself otherwise).
    """

    def __init__(
        self,
        folder: Path,
        *,
        binaries: Path | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder.absolute()
        self._data = data_of(self._folder)
        self._server_log = ServerLog(self._folder / "postgres.log")
        self._setting = binaries
        self._options = {**_OPTIONS, **(options or {})}
        self._lock: int | None = None
        self._child: Child | None = None
        self._logs_checked_at = 0.0

    @property
    def dsn(self) -> str:
        """The URL of the database."""
        return dsn(self._folder)

    @property
    def folder_identity(self) -> str:
        """Differs in all its parts where the folder is a copy of another one."""
        return identity(self._data)

    @property
    def pid(self) -> int:
        """The process id of the server."""
        assert self._child is not None, "not started"
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether the server runs."""
        return self._child is not None and self._child.poll() is None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Return when the database answers; PostgresError says why it cannot.

        Call it in the main thread: the server ends with the thread that started it.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = lock(self._folder)
            await self._start()
        except OSError as error:
            await self.stop()
            raise DidNotStart(f"cannot use {self._folder}: {error.strerror or error}") from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop the server in order: running statements are rolled back, nothing is lost."""
        for number, seconds in (
            (signal.SIGINT, _STOP_SECONDS),  # fast shutdown
            (signal.SIGQUIT, _FORCED_STOP_SECONDS),  # immediate: recovery at the next start
            (signal.SIGKILL, _FORCED_STOP_SECONDS),
        ):
            if self._child is not None and self._child.poll() is None:
                self._child.send_signal(number)
                await ended(self._child, seconds)
        if self._lock is not None:
            remove_socket_folder(self._folder)
            os.close(self._lock)
            self._lock = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Start the server again whenever it dies, until *stopping* is set."""
        failures, wait = 0, _WATCH_SECONDS
        while not stopping.is_set():
            if await wait_for_event(stopping, wait):
                return
            wait = _WATCH_SECONDS
            if self.alive:
                await self._limit_logs()
                continue
            try:
                log.error("postgres_died", last_words=self._server_log.tail())
                await self._start()
                failures = 0
            except (PostgresError, OSError) as error:
                failures += 1
                wait = wait_before_retry(failures, random.random(), longest=2.0)  # noqa: S311 -- no secret
                log.error("postgres_restart_failed", reason=str(error))  # noqa: TRY400

    async def _limit_logs(self) -> None:
        if (now := time.monotonic()) < self._logs_checked_at + _LOG_CHECK_SECONDS:
            return
        self._logs_checked_at = now
        try:
            self._server_log.limit()
            if is_scarce(self._folder):
                await reuse(self.dsn)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("postgres_log_not_kept_short", reason=str(error))

    async def _start(self) -> None:
        began = time.monotonic()
        runner = find_runner()
        binaries = find_binaries(self._setting, major=made_by(self._data))
        self._server_log.mark_start()
        if not self._data.exists():
            making = InitDb(self._folder, binaries, runner, self._server_log)
            await ended(making.child, INITDB_SECONDS)
            making.finish()
        await self._wait_for_predecessor()
        socket = socket_folder(self._folder)
        self._hand_over(runner, self._data, socket)
        await self._launch(binaries, runner, socket)
        await self._ensure_database()
        seconds = round(time.monotonic() - began, 3)
        log.info("postgres_started", version=binaries.major, process=self.pid, seconds=seconds)

    def _hand_over(self, runner: Runner, *folders: Path) -> None:
        """Give *folders* to the user the server runs as, who must also get to them."""
        runner.own(self._folder)
        for folder in folders:
            for path in (folder, *folder.rglob("*")):
                runner.own(path)

    async def _wait_for_predecessor(self) -> None:
        """Wait until the server of a process that was just killed has ended."""
        end = time.monotonic() + _LEFTOVER_SECONDS
        while (pid := survivor(self._data)) is not None:
            if time.monotonic() > end:
                raise FolderInUse(f"a PostgreSQL (process {pid}) still runs on {self._data}")
            await asyncio.sleep(POLL_SECONDS)

    async def _launch(self, binaries: Binaries, runner: Runner, socket: Path) -> None:
        options = {**self._options, "unix_socket_directories": str(socket)}
        settings = [part for item in options.items() for part in ("-c", "=".join(item))]
        command: list[str | Path] = [binaries.folder / "postgres", "-D", self._data, *settings]
        end = time.monotonic() + _LEFTOVER_SECONDS
        while True:
            self._server_log.mark_start()
            self._child = runner.start(command, self._server_log.path)
            if await self._became_ready(self._child):
                return
            # After a `kill -9` of the server its children take a moment to notice.
            if "shared memory block" not in self._server_log.tail() or time.monotonic() > end:
                raise DidNotStart(f"PostgreSQL did not start: {self._server_log.tail()}")
            await asyncio.sleep(10 * POLL_SECONDS)

    async def _became_ready(self, child: Child) -> bool:
        """Wait for the last line that the server writes into its record of itself."""
        end = time.monotonic() + _START_SECONDS
        record = self._data / "postmaster.pid"
        while child.poll() is None and time.monotonic() < end:
            with contextlib.suppress(FileNotFoundError):
                lines = record.read_text().split("\n")
                if lines[0] == str(child.pid) and lines[7:] and lines[7].strip() == "ready":
                    return True
            await asyncio.sleep(POLL_SECONDS)
        return False

    async def _ensure_database(self) -> None:
        try:
            with contextlib.suppress(asyncpg.InvalidCatalogNameError):
                await (await asyncpg.connect(self.dsn, timeout=_CONNECT_SECONDS)).close()
                return
            await self._name_database()
        except (asyncpg.PostgresError, TimeoutError) as error:
            raise DidNotStart(f"PostgreSQL does not answer as it should: {error}") from error

    async def _name_database(self) -> None:
        """Give our database its name: it is the one that initdb made, still unused."""
        maintenance = self.dsn.replace(f"@/{NAME}?", "@/template1?")
        connection = await asyncpg.connect(maintenance, timeout=_CONNECT_SECONDS)
        try:
            given = await connection.fetchval("SELECT 1 FROM pg_database WHERE datname='postgres'")
            await connection.execute(
                f"ALTER DATABASE postgres RENAME TO {NAME}" if given else f"CREATE DATABASE {NAME}"
            )
        finally:
            await connection.close()
