"""Starts PostgreSQL's programs as a user they accept, and so that they end with us."""

import asyncio
import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from onebox.postgres_binaries import PostgresError

_PR_SET_PDEATHSIG = 1
_PROBE_SECONDS = 10
_LARGEST = 10_000_000  # octets of the server's log; a larger file is moved aside
POLL_SECONDS = 0.01
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Runner:
    """How to run a program that refuses to run as root.

    As root it runs in a user namespace, where we have another user id and stay the owner of
    our files; where namespaces are forbidden (many containers) it runs as another user.
    """

    prefix: tuple[str, ...] = ()
    user: int | None = None  # None: as ourselves, as far as files are concerned
    group: int | None = None

    def start(self, command: Sequence[str | Path], output: Path) -> "Child":
        """Start *command*; its output is appended to *output*."""
        try:
            with output.open("ab") as said:
                return self._spawn([*self.prefix, *map(str, command)], said)
        except PermissionError as error:
            raise PostgresError(
                f"user {os.geteuid() if self.user is None else self.user} may not run"
                f" {command[0]}, or not enter a folder above it"
            ) from error

    def _spawn(self, command: list[str], said: IO[bytes]) -> "Child":
        return subprocess.Popen(  # noqa: S603 -- our own command
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=_environment(),
            user=self.user,
            group=self.group,
            extra_groups=None if self.user is None else (),
            # Not in the terminal's process group: ctrl-C reaches us, the database stops last.
            start_new_session=True,
            preexec_fn=_dies_with(os.getpid()),  # noqa: PLW1509 -- one system call, no locks
        )

    def own(self, path: Path) -> None:
        """Make the user that the programs run as the owner of *path*."""
        user = os.geteuid() if self.user is None else self.user
        if path.lstat().st_uid != user:
            os.chown(path, user, -1, follow_symlinks=False)


Child = subprocess.Popen[bytes]


def find_runner() -> Runner:
    """The way that works here; PostgresError when there is none."""
    if os.geteuid() != 0 and _has_name(os.geteuid()):
        return Runner()
    stand_in = _stand_in()
    namespace = _namespace(stand_in)
    if namespace is not None:
        return Runner(prefix=namespace)
    if os.geteuid() == 0:
        return Runner(user=stand_in.pw_uid, group=stand_in.pw_gid)
    raise PostgresError(
        f"PostgreSQL needs a user with a name; user id {os.geteuid()} has none on this machine"
    )


def _has_name(user: int) -> bool:
    """Whether *user* is known here: initdb refuses to work for a nameless one."""
    return any(entry.pw_uid == user for entry in pwd.getpwall())


def _stand_in() -> pwd.struct_passwd:
    """A user to appear as: any but root will do."""
    entries = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid != 0}
    for name in ("postgres", "nobody", *entries):
        if name in entries:
            return entries[name]
    raise PostgresError("PostgreSQL does not run as root, and this machine knows no other user")


def _namespace(stand_in: pwd.struct_passwd) -> tuple[str, ...] | None:
    """The command that runs another in a user namespace, or None where that is not allowed."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return None
    prefix = (
        unshare,
        "--user",
        f"--map-user={stand_in.pw_uid}",
        f"--map-group={stand_in.pw_gid}",
        "--",
    )
    try:
        probe = subprocess.run(  # noqa: S603 -- our own command
            [*prefix, "true"], capture_output=True, timeout=_PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return prefix if probe.returncode == 0 else None


# Each statement gives back its memory at its end. By default glibc returns what is above 128 KiB to
# the kernel, and the next statement of that size faults it in again, page by page: 0.7 ms for a
# claim over fifty partitions. Octets that a process of PostgreSQL may keep; and the size from which
# a piece comes from the kernel by itself, which otherwise adapts.
_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(8 << 20), "MALLOC_MMAP_THRESHOLD_": str(4 << 20)}


def _environment() -> dict[str, str]:
    """Our environment without what points PostgreSQL at other data or changes its language."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**ours, **_MEMORY, "LC_ALL": "C", "TZ": "UTC"}


def _dies_with(parent: int) -> Callable[[], None]:
    """What the child does before it becomes *command*: asks to be stopped when we are gone.

    SIGQUIT is PostgreSQL's immediate shutdown: over in milliseconds, the next start recovers.
    """

    def prepare() -> None:
        armed = _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT, 0, 0, 0) == 0
        if not armed or os.getppid() != parent:
            os._exit(1)

    return prepare


class ServerLog:
    """The file that PostgreSQL writes its messages to, and what it wrote since the last start."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._from = 0

    def mark_start(self) -> None:
        """From here on `tail` reads."""
        self.limit()
        self._from = self.path.stat().st_size if self.path.exists() else 0

    def limit(self) -> None:
        """Move a large file aside, in the place of the one before.

        By copying: the server appends to the file that it has open.
        """
        if self.path.exists() and self.path.stat().st_size > _LARGEST:
            shutil.copyfile(self.path, self.path.with_suffix(".log.1"))
            os.truncate(self.path, 0)
            self._from = 0

    def tail(self) -> str:
        """The last lines written, as one."""
        with contextlib.suppress(OSError), self.path.open(errors="replace") as said:
            said.seek(self._from)
            lines = [line.strip() for line in said.read().splitlines() if line.strip()]
            return " / ".join(lines[-4:]) or "(it said nothing)"
        return "(what it said cannot be read)"


async def ended(child: Child, seconds: float) -> bool:
    """Wait until *child* has ended, at most *seconds*; whether it has."""
    end = time.monotonic() + seconds
    while child.poll() is None and time.monotonic() < end:  # noqa: ASYNC110 -- no event tells
        await asyncio.sleep(POLL_SECONDS)
    return child.poll() is not None
