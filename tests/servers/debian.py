"""Install Debian packages for the tests, without starting the services that come with them."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_LOCK = Path("/run/lock/posthouse-tests-install")
_POLICY = Path("/usr/sbin/policy-rc.d")
_OPTIONS = ("-q", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=5")
_WITHIN = 300.0  # seconds


class CannotInstall(Exception):
    """Something could not be installed; the text says why."""


def install(*packages: str, unless: Callable[[], object]) -> None:
    """Return when all are installed; raises CannotInstall.

    Nothing is done where *unless* says something: it is asked while no other process of ours
    installs, as a program that is there may still want for its libraries until that has ended.
    """
    if os.geteuid() != 0:
        if unless():
            return
        raise CannotInstall("only root may install packages")
    with alone():
        if not unless():
            _install(packages)


def _install(packages: Sequence[str]) -> None:
    if shutil.which("apt-get") is None:
        raise CannotInstall("this is no Debian")
    with _no_service_starts():
        failure = fetched("install", "-y", "--no-install-recommends", *packages)
    if failure is not None:
        raise CannotInstall(f"apt-get does not install {' '.join(packages)}: {failure}")


def has_perl_module(name: str) -> bool:
    """Whether Perl can use it."""
    command = ["perl", f"-M{name}", "-e1"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """Have package scripts believe that this machine must not start services (exit status 101)."""
    before = _POLICY.read_bytes() if _POLICY.exists() else None
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        if before is None:
            _POLICY.unlink()
        else:
            _POLICY.write_bytes(before)


@contextmanager
def alone() -> Iterator[None]:
    """While inside, no other process of ours calls apt-get, which does not wait for its lists."""
    _LOCK.parent.mkdir(exist_ok=True)
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fetched(*arguments: str, folder: Path | None = None) -> str | None:
    """Call apt-get, with new lists if need be; None, or why it failed. Only while `alone`."""
    if _apt_get(*arguments, folder=folder) is None:
        return None
    # The lists of packages may be old or missing.
    return _apt_get("update") or _apt_get(*arguments, folder=folder)


def _apt_get(*arguments: str, folder: Path | None = None) -> str | None:
    command = ["apt-get", *_OPTIONS, *arguments]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command,
            env=env,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_WITHIN,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it took more than {_WITHIN:g} seconds"
    return None if done.returncode == 0 else (done.stderr.strip() or done.stdout.strip())[-300:]
