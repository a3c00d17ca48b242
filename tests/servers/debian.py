"""Install Debian packages for the tests, without starting the services that come with them."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = Path("/run/lock/posthouse-tests-install")
_POLICY = Path("/usr/sbin/policy-rc.d")
_WITHIN = 300.0  # seconds


class CannotInstall(Exception):
    """Something could not be installed; the text says why."""


def install(*packages: str) -> None:
    """Return when all are installed; raises CannotInstall. One process at a time installs."""
    if os.geteuid() != 0:
        raise CannotInstall("only root may install packages")
    if shutil.which("apt-get") is None:
        raise CannotInstall("this is no Debian")
    with _alone(), _no_service_starts():
        getting = ("install", "-y", "--no-install-recommends", *packages)
        if _apt_get(*getting) is None:
            return
        # The lists of packages may be old or missing.
        failure = _apt_get("update") or _apt_get(*getting)
        if failure is not None:
            raise CannotInstall(f"apt-get does not install {' '.join(packages)}: {failure}")


@contextmanager
def _alone() -> Iterator[None]:
    _LOCK.parent.mkdir(exist_ok=True)
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


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


def _apt_get(*arguments: str) -> str | None:
    """None, or the last thing it said."""
    command = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", *arguments]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=_WITHIN, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it took more than {_WITHIN:g} seconds"
    return None if done.returncode == 0 else (done.stderr.strip() or done.stdout.strip())[-300:]
