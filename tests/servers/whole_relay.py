"""`posthouse up` in a process of its own, and its operator."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servers.posthouse_command import call

PROGRAM = (sys.executable, "-c", "from command.cli import main; main()")
ENVIRON = {n: v for n, v in os.environ.items() if not n.startswith("POSTHOUSE_")}
ANY = "127.0.0.1:0"


@contextmanager
def running(*arguments: str, **environ: str) -> Iterator[dict[str, Any]]:
    """A program, and what it says when it is ready; stopped at the end."""
    with subprocess.Popen(
        [*PROGRAM, *arguments],
        env=ENVIRON | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stdout is not None
        try:
            yield json.loads(child.stdout.readline())
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(60)


class Operator:
    """Sends mail, and asks what became of it."""

    def __init__(self, data: Path, port: int) -> None:
        self._data = str(data)
        made = json.loads(self("credential", "create", "--json", "--domain", "x.example"))
        login = ("--username", made["username"], "--secret", made["secret"])
        self._login = ("--port", str(port), "--tls", "none", *login, "--from", "a@x.example")

    def __call__(self, *arguments: str) -> str:
        """What `posthouse` prints."""
        done = call("--data", self._data, *arguments)
        assert 0 == done.returncode, done.stderr
        return done.stdout

    def story_of_mail_to(self, recipient: str) -> str:
        """The timeline of one more message, once it has ended."""
        found = re.search(
            r"queued as ([0-9a-f]{32})", self("send", *self._login, "--to", recipient)
        )
        assert found is not None
        for _ in range(100):
            story = self("message", found[1])
            if re.search(r"  (?:bounced|suppressed|delivered) ", story):
                return story
            time.sleep(0.1)
        raise AssertionError(story)
