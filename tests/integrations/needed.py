"""Programs and libraries of others, installed when they are asked for.

Where one is not to be had the test that wants it is skipped loudly (`servers.missing`).
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from servers.debian import CannotInstall, install
from servers.missing import missing

CLIENTS = Path(__file__).with_name("clients")  # what they are given to run
_MADE = Path(sys.prefix) / "clients"  # libraries of PyPI and npm
_WITHIN = 300.0  # seconds, for downloads


def need(*packages: str) -> None:
    """Have Debian's *packages* installed."""
    absent = [package for package in packages if not _is_installed(package)]
    try:
        install(*absent, unless=lambda: all(map(_is_installed, packages)))
    except CannotInstall as reason:
        missing(" ".join(absent), str(reason))


@cache
def python_with_clients() -> Path:
    """A Python with the libraries of `clients/requirements.txt`."""
    wanted = CLIENTS / "requirements.txt"
    pip = ("bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    steps = ((sys.executable, "-m", "venv", "."), (*pip, "-r", str(wanted)))
    return _made("python", wanted, steps) / "bin" / "python"


@cache
def node_modules() -> Path:
    """The folder `node_modules` with the libraries of `clients/package.json`."""
    if shutil.which("npm") is None:
        need("nodejs", "npm")
    wanted = CLIENTS / "package.json"
    steps = (("cp", str(wanted), "."), ("npm", "install", "--no-audit", "--no-fund", "--silent"))
    return _made("node", wanted, steps) / "node_modules"


def _made(name: str, wanted: Path, steps: Sequence[Sequence[str]]) -> Path:
    """The folder that *steps*, run in it, make of the list *wanted*; made once for each list."""
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()[:16]
    folder = _MADE / f"{name}-{digest}"
    complete = folder / "complete"  # and not moved to its name: a virtual environment stays
    if complete.exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        for step in steps:
            subprocess.run(
                step, cwd=folder, check=True, capture_output=True, text=True, timeout=_WITHIN
            )
    except (OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(folder)
        said = getattr(error, "stderr", "") or ""
        missing(f"what {wanted.name} lists", f"{error} {said[-300:]}")
    complete.touch()
    return folder


def _is_installed(package: str) -> bool:
    if shutil.which("dpkg-query") is None:
        return False
    asked = ["dpkg-query", "--show", "--showformat", "${db:Status-Status}", package]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout == "installed"
