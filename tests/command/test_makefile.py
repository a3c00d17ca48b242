"""`make` notices an environment that is of no use any more."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = "{}.{}".format(*sys.version_info)


def plan(folder: Path, version: str, interpreter: str) -> str:
    """What `make setup` would do with an environment made for *version*."""
    shutil.copy(ROOT / "Makefile", folder)
    venv = folder / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {version}.4\n")
    (venv / "bin/python").symlink_to(interpreter)
    done = subprocess.run(
        ["make", "--dry-run", "setup"], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.stdout


@pytest.mark.parametrize(
    ("version", "interpreter", "again"),
    [
        (OURS, sys.executable, False),
        ("3.8", sys.executable, True),  # the interpreter has become another minor version
        (OURS, "/nowhere/python3", True),  # or is gone
    ],
)
def test_an_environment_of_another_python_is_made_again(
    tmp_path: Path, version: str, interpreter: str, again: bool
) -> None:
    assert again == ("deploy/venv.sh" in plan(tmp_path, version, interpreter))
