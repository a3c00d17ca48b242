"""Debian packages that are not installed but unpacked, for mail servers that exclude each other.

Their files are in a folder of the virtual environment, users and groups they need in files beside
them; a program runs in a mount namespace of its own, in which these cover the machine's. Nothing
else on the machine sees any of it. A process namespace ends with the process that started
it, and with it every process that the program ever started.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.systems import NotMeasured

from servers.debian import alone, fetched

PEERS = Path(sys.prefix) / "peers"
_WITHIN = 300.0  # seconds, for downloads
_VERSIONS = "versions"
_LAID_OVER = ("usr", "etc")
# The first process of the namespace stays root: as another user it would lose the setting by which
# the kernel ends it with its parent.
_RUN = """\
"$@" &
program=$!
trap 'kill $program' TERM
wait $program || wait $program"""
_ENTER = ("unshare", "--mount", "--propagation", "private", "--pid", "--mount-proc", "--kill-child")


def unpack(name: str, packages: Sequence[str]) -> Path:
    """The folder of *packages*, which are unpacked into it if need be. Raises NotMeasured."""
    layer = PEERS / name
    if not layer.exists():
        with alone():
            if not layer.exists():
                _unpack_into(layer, packages)
    return layer


def _unpack_into(layer: Path, packages: Sequence[str]) -> None:
    if shutil.which("apt-get") is None:
        raise NotMeasured("this is no Debian")
    PEERS.mkdir(exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f"{layer.name}-", dir=PEERS))
    try:
        if (failure := fetched("download", *packages, folder=fresh)) is not None:
            raise NotMeasured(f"apt-get does not download {' '.join(packages)}: {failure}")
        archives = sorted(fresh.glob("*.deb"))
        for archive in archives:
            ask(["dpkg-deb", "--extract", str(archive), str(fresh)])
            archive.unlink()
        # NAME_VERSION_ARCHITECTURE.deb
        versions = (archive.name.replace("%3a", ":").split("_")[:2] for archive in archives)
        (fresh / _VERSIONS).write_text("".join(f"{' '.join(pair)}\n" for pair in versions))
        fresh.chmod(0o755)
        fresh.rename(layer)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def version(layer: Path, package: str) -> str:
    """The version of *package* that was unpacked."""
    lines = (line.split() for line in (layer / _VERSIONS).read_text().splitlines())
    return next(number for name, number in lines if name == package)


def add_users(layer: Path, users: Mapping[str, int]) -> None:
    """Make *users*, each with a group of its own, known in *layer*."""
    for file, entry in (("passwd", "{0}:x:{1}:{1}::/:/usr/sbin/nologin"), ("group", "{0}:x:{1}:")):
        lines = [
            line
            for line in (Path("/etc") / file).read_text().splitlines()
            if line.partition(":")[0] not in users
        ]
        lines += [entry.format(*user) for user in users.items()]
        (layer / "etc").mkdir(exist_ok=True)
        (layer / "etc" / file).write_text("\n".join([*lines, ""]))


def inside(layer: Path, command: Sequence[str], *, first: Sequence[str] = ()) -> list[str]:
    """The command that runs *command*, after the shell's lines *first*, with *layer* mounted."""
    steps = [
        *(
            f"mount -t overlay -o lowerdir={layer}/{name}:/{name} overlay /{name}"
            for name in _LAID_OVER
            if (layer / name).exists()
        ),
        *first,
        _RUN,
    ]
    return [*_ENTER, "sh", "-ec", "\n".join(steps), "sh", *command]


def ask(command: Sequence[str], folder: Path | None = None) -> str:
    """The output of *command*. Raises NotMeasured with its error output."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_WITHIN, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotMeasured(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-300:]
        raise NotMeasured(f"{' '.join(command[:3])}: {said}")
    return done.stdout
