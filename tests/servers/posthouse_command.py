"""`posthouse` as a script calls it: arguments, environment and standard input, and what it says."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from servers.forking import Forked
from servers.patience import on_this_machine

Run: TypeAlias = subprocess.CompletedProcess[str]


def call(*arguments: str, stdin: str = "", **environ: str) -> Run:
    """Run `posthouse` with *stdin* on standard input; only *environ* is set of our variables."""
    others = {n: v for n, v in os.environ.items() if not n.startswith("POSTHOUSE_")}
    with tempfile.TemporaryDirectory(prefix="posthouse-call-") as folder:
        given, out, err = (Path(folder) / name for name in ("in", "out", "err"))
        given.write_text(stdin)
        with _opened(given, out, err) as streams:
            status = Forked(arguments, {**others, **environ}, streams).wait(on_this_machine(100))
        return subprocess.CompletedProcess(arguments, status, out.read_text(), err.read_text())


@contextmanager
def _opened(given: Path, out: Path, err: Path) -> Iterator[tuple[int, int, int]]:
    with given.open("rb") as stdin, out.open("wb") as stdout, err.open("wb") as stderr:
        yield stdin.fileno(), stdout.fileno(), stderr.fileno()
