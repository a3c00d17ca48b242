"""Programs of other versions in the place of those of a relay."""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from chaos.program import Program
from chaos.relay import Split

ROOT = Path(__file__).parents[2]
POSTHOUSE = (sys.executable, "-c", "from command.cli import main; main()")
# Starts a program so that it is of this version.
THIS_VERSION = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}


def sources_first(*folders: Path) -> Mapping[str, str]:
    """What to start a program with so that it takes its packages from *folders*."""
    return {"PYTHONPATH": os.pathsep.join((*map(str, folders), THIS_VERSION["PYTHONPATH"]))}


def version_of(commit: str, folder: Path) -> Mapping[str, str]:
    """What to start a program with so that it is that of *commit*; its sources go to *folder*.

    Its packages have to be those of today. Skips the test where the history is not there.
    """
    git = ("git", "-C", str(ROOT), "archive", commit, "libs", "services", "deploy", "command")
    try:
        done = subprocess.run((*git, "demo"), capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("git is missing: the version before is in the history of this repository")
    if done.returncode:
        pytest.skip(f"the commit {commit} is missing: a clone with the whole history has it")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return sources_first(*sorted(file.parent for file in folder.rglob("pyproject.toml")))


def posthouse(environ: Mapping[str, str], *arguments: str) -> str:
    """What the command says, in the version and with the settings of *environ*."""
    command = (*POSTHOUSE, *arguments)
    given = {**os.environ, **environ}
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    return done.stdout


def of_version(program: Program, service: str, environ: Mapping[str, str]) -> Program:
    """*program* in another version; it is not started."""
    env = {**program._env, **environ}
    return Program((*POSTHOUSE, service), env, program._log, program._health)


async def replace(relay: Split, name: str, environ: Mapping[str, str]) -> None:
    """Stop a program in good order, and start one of another version in its place."""
    old = relay.programs[name]
    await old.stop()
    relay.programs[name] = of_version(old, name.split(maxsplit=1)[0], environ)
    await relay.programs[name].start()
