"""The data of a new PostgreSQL: made beside its place, and moved there when it is complete."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onebox.postgres_binaries import Binaries, PostgresError, find_binaries
from onebox.postgres_folder import NAME, lock
from onebox.postgres_process import Runner, ServerLog, find_runner

INITDB_SECONDS = 120.0  # at most
_BUILTIN_LOCALES_SINCE = 17
_SYNC_METHODS_SINCE = 17


class DidNotStart(PostgresError):
    """PostgreSQL or initdb failed; the text ends with its last output."""


class InitDb:
    """A running initdb, for the server in a folder of ours. Incomplete data is never used."""

    def __init__(
        self, folder: Path, binaries: Binaries, runner: Runner, server_log: ServerLog
    ) -> None:
        """Begin, from the start if a predecessor was interrupted."""
        self._folder = folder
        self._fresh = folder / "data.new"
        self._server_log = server_log
        shutil.rmtree(self._fresh, ignore_errors=True)
        self._fresh.mkdir(mode=0o700)
        runner.own(folder)
        runner.own(self._fresh)
        self.child = runner.start(_initdb(binaries, self._fresh), server_log.path)

    def finish(self) -> None:
        """Move the data that the child has made to its place; raises DidNotStart."""
        if self.child.poll() is None:
            self.child.kill()
        if self.child.wait() != 0:
            shutil.rmtree(self._fresh, ignore_errors=True)
            raise DidNotStart(f"PostgreSQL could not make its data: {self._server_log.tail()}")
        self._fresh.rename(data_of(self._folder))
        _sync(self._folder)


def data_of(folder: Path) -> Path:
    """Where the server in *folder* has its data."""
    return folder / "data"


@contextmanager
def initdb_ahead(folder: Path) -> Iterator[None]:
    """Make the data of a new server in *folder* while something else is done.

    Errors are not reported here: `EmbeddedPostgres.start` will meet them again.
    """
    with contextlib.ExitStack() as stack:
        making = None
        with contextlib.suppress(PostgresError, OSError):
            making = _begin(folder.absolute(), stack)
        yield
        if making is not None:
            with contextlib.suppress(PostgresError, OSError, subprocess.TimeoutExpired):
                making.child.wait(INITDB_SECONDS)
                making.finish()


def _begin(folder: Path, stack: contextlib.ExitStack) -> InitDb | None:
    """None where there is data; leaving *stack* gives up data that is not complete."""
    if data_of(folder).exists():
        return None
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stack.callback(os.close, lock(folder))
    said = ServerLog(folder / "postgres.log")
    said.mark_start()
    making = InitDb(folder, find_binaries(None, major=None), find_runner(), said)
    stack.callback(making.child.kill)
    return making


def _initdb(binaries: Binaries, folder: Path) -> list[str | Path]:
    provider = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    return [
        binaries.folder / "initdb",
        *("-D", folder, "-U", NAME, "-A", "trust", "-E", "UTF8", "--locale=C"),
        *("--data-checksums", "--no-instructions"),
        *(provider if binaries.major >= _BUILTIN_LOCALES_SINCE else ()),
        # One call for the whole disk, as after a crash, and not one for each of a thousand files.
        *(("--sync-method=syncfs",) if binaries.major >= _SYNC_METHODS_SINCE else ()),
    ]


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
