"""`posthouse` as a script calls it, in a process of its own, without 0.7 s of imports for each.

A process that has imported every command is started once, and forks for each call. What a call
has is what a program has: arguments, environment, standard streams, exit status.
"""

import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import IO, TypeAlias

Run: TypeAlias = subprocess.CompletedProcess[str]

_one_at_a_time = Lock()


def call(*arguments: str, stdin: str = "", **environ: str) -> Run:
    """Run `posthouse` with *stdin* on standard input; only *environ* is set of our variables."""
    others = {n: v for n, v in os.environ.items() if not n.startswith("POSTHOUSE_")}
    with tempfile.TemporaryDirectory(prefix="posthouse-call-") as folder:
        streams = [str(Path(folder) / name) for name in ("in", "out", "err")]
        Path(streams[0]).write_text(stdin)
        job = (arguments, {**others, **environ}, str(Path.cwd()), streams)
        with _one_at_a_time:
            requests, answers = _server()
            requests.write(json.dumps(job) + "\n")
            requests.flush()
            status = int(answers.readline())
        out, err = (Path(stream).read_text() for stream in streams[1:])
    return subprocess.CompletedProcess(arguments, status, out, err)


@cache
def _server() -> tuple[IO[str], IO[str]]:
    """Where it is told what to run, and where it says how that ended; it ends with us."""
    server = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin is not None
    assert server.stdout is not None
    return server.stdin, server.stdout


def _serve() -> None:
    """Fork for each line; returns in the child only, which has become what the line says."""
    for line in iter(sys.stdin.readline, ""):
        child = os.fork()
        if child == 0:
            _become(*json.loads(line))
            return
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
    sys.exit()


def _become(arguments: list[str], environ: dict[str, str], folder: str, streams: list[str]) -> None:
    for number, path in enumerate(streams):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    sys.argv = ["posthouse", *arguments]
    signal.alarm(500)


if __name__ == "__main__":
    for _file in sorted(Path(import_module("command.commands").__path__[0]).glob("[a-z]*.py")):
        import_module(f"command.commands.{_file.stem}")
    from command.cli import main

    gc.freeze()  # or collecting in a child would copy every page
    _serve()
    main()
