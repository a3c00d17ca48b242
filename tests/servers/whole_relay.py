"""`posthouse up` in a process of its own, and its operator."""

import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servers.forking import Forked
from servers.patience import eventually_says, on_this_machine
from servers.posthouse_command import call

ENVIRON = {n: v for n, v in os.environ.items() if not n.startswith("POSTHOUSE_")}
# Every signature is verified before it leaves.
ENVIRON["POSTHOUSE_DKIM_VERIFY_ONE_IN"] = "1"
ANY = "127.0.0.1:0"


@contextmanager
def running(*arguments: str, **environ: str) -> Iterator[dict[str, Any]]:
    """A program, and what it says when it is ready; stopped at the end."""
    reading, writing = os.pipe()
    with open(reading) as said, open(os.devnull, "r+b") as nothing:  # noqa: PTH123 -- a descriptor
        child = Forked(arguments, ENVIRON | environ, (nothing.fileno(), writing, nothing.fileno()))
        os.close(writing)
        try:
            yield json.loads(said.readline())
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(on_this_machine(60))


class Operator:
    """Sends mail, and asks what became of it."""

    def __init__(
        self, data: Path, port: int, account: str = "default", domain: str = "x.example"
    ) -> None:
        self._data, self._port = data, port
        made = json.loads(
            self("credential", "create", "--json", "--account", account, "--domain", domain)
        )
        login = ("--username", made["username"], "--secret", made["secret"])
        self._login = ("--port", str(port), "--tls", "none", *login, "--from", f"a@{domain}")

    def __call__(self, *arguments: str) -> str:
        """What `posthouse` prints."""
        done = call("--data", str(self._data), *arguments)
        assert 0 == done.returncode, done.stderr
        return done.stdout

    def another(self, account: str, domain: str) -> "Operator":
        """The same relay, with a login of that *account*, which sends as *domain*."""
        return Operator(self._data, self._port, account, domain)

    def submit(self, recipient: str) -> str:
        """Submit one more message; its number."""
        found = re.search(
            r"queued as ([0-9a-f]{32})", self("send", *self._login, "--to", recipient)
        )
        assert found is not None
        return found[1]

    def story_of_mail_to(self, recipient: str) -> str:
        """The timeline of one more message, once it has ended."""
        return self.story_of(self.submit(recipient))

    def story_of(self, number: str) -> str:
        """The timeline of that message, once it has ended."""
        return eventually_says(
            lambda: self("message", number), r"  (?:bounced|suppressed|delivered) ", within=30
        )
