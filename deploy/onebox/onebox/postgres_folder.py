"""The folder of an embedded PostgreSQL: its lock, and what a predecessor left in it."""

import ctypes
import fcntl
import os
import shutil
import stat
import struct
import tempfile
from pathlib import Path
from urllib.parse import quote

from onebox.postgres_binaries import PostgresError

NAME = "posthouse"  # of the database and of its owner
PORT = 5432  # only names the socket
# An address of a local socket holds 107 bytes (unix(7)); the server puts a lock beside it.
_LONGEST_SOCKET_FOLDER = 107 - len(f"/.s.PGSQL.{PORT}.lock")
_AT_FDCWD, _STATX_BTIME = -100, 0x800  # statx(2)
_STATX_OCTETS, _BTIME_OFFSET = 256, 80


class FolderInUse(PostgresError):
    """Another process works on the same folder."""

    def __init__(self, text: str, process: str = "unknown") -> None:
        super().__init__(text)
        self.process = process


def dsn(folder: Path) -> str:
    """The URL of the database in *folder*, whichever process runs it."""
    socket = (folder / "socket").resolve()
    return f"postgresql://{NAME}@/{NAME}?host={quote(str(socket), safe='')}&port={PORT}"


def lock(folder: Path) -> int:
    """Lock *folder* for this process until the returned descriptor is closed, or we die."""
    descriptor = os.open(folder / "posthouse.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        process = os.pread(descriptor, 20, 0).decode() or "unknown"
        os.close(descriptor)
        text = f"{folder} is in use by another Posthouse (process {process})"
        raise FolderInUse(text, process) from None
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def holder(folder: Path) -> str | None:
    """The process that has locked *folder*, None if none has."""
    try:
        os.close(lock(folder))
    except FolderInUse as error:
        return error.process
    except OSError:
        return None
    return None


def made_by(data: Path) -> int | None:
    """The major version of PostgreSQL that made *data*, None when there is none yet."""
    try:
        return int((data / "PG_VERSION").read_text())
    except FileNotFoundError:
        return None


def identity(data: Path) -> str:
    """Differs in both of its parts where *data* is a copy of another folder, or was put back.

    When a file in it was made, and when its state last changed. No tool sets either. Where the
    file system does not know the first, the inode number stands in for it. That is weaker: the
    number of a deleted file is soon that of a new one.
    """
    file = data / "PG_VERSION"
    state = file.stat()
    return f"{_birth_time_ns(file) or state.st_ino}:{state.st_ctime_ns}"


def _birth_time_ns(file: Path) -> int | None:
    """When *file* was made, None where that is not known. `os.stat` does not tell it on Linux."""
    answer = ctypes.create_string_buffer(_STATX_OCTETS)
    try:
        statx = ctypes.CDLL(None).statx
    except AttributeError:
        return None
    failed = statx(_AT_FDCWD, os.fsencode(file), 0, _STATX_BTIME, answer)
    (known,) = struct.unpack_from("=I", answer)
    if failed or not known & _STATX_BTIME:
        return None
    seconds, nanoseconds = struct.unpack_from("=qI", answer, _BTIME_OFFSET)
    return int(seconds * 10**9 + nanoseconds) or None


def survivor(data: Path) -> int | None:
    """The process id of a server still running on *data*; clears what a dead one left behind.

    After a restart of the machine or container a dead server's process id soon belongs to
    another program, and PostgreSQL would take that for its predecessor and refuse to start.
    """
    record = data / "postmaster.pid"
    try:
        pid = int(record.read_text().split("\n", 1)[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    if os.fsencode(data) in command:
        return pid
    if command:
        record.unlink(missing_ok=True)
    return None


def socket_folder(folder: Path) -> Path:
    """A private folder for the socket, emptied: in *folder*, or linked from there if too long."""
    place = folder / "socket"
    if len(os.fsencode(place)) <= _LONGEST_SOCKET_FOLDER:
        place.mkdir(mode=0o700, exist_ok=True)
    elif not _is_private(place.resolve()):
        place.unlink(missing_ok=True)
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        short = runtime if runtime and os.access(runtime, os.W_OK) else "/tmp"  # noqa: S108
        place.symlink_to(tempfile.mkdtemp(prefix="posthouse-", dir=short))
    for leftover in place.glob(".s.PGSQL.*"):
        leftover.unlink()
    return place.resolve()


def remove_socket_folder(folder: Path) -> None:
    """Remove a socket folder that is elsewhere; one inside *folder* stays with it."""
    place = folder / "socket"
    if place.is_symlink():
        shutil.rmtree(place.resolve(), ignore_errors=True)
        place.unlink()


def _is_private(folder: Path) -> bool:
    """Whether *folder* exists and is ours, not made by another user who guessed the name."""
    try:
        state = folder.lstat()
    except FileNotFoundError:
        return False
    owned = os.geteuid() in (0, state.st_uid)
    return stat.S_ISDIR(state.st_mode) and owned and stat.S_IMODE(state.st_mode) == stat.S_IRWXU
