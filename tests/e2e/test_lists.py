"""The lists of a whole relay: on and off them, as an operator sees it in the timeline."""

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

import pytest

from servers.posthouse_command import call

PROGRAM = (sys.executable, "-c", "from command.cli import main; main()")
ENVIRON = {n: v for n, v in os.environ.items() if not n.startswith("POSTHOUSE_")}
ANY = "127.0.0.1:0"


@contextmanager
def running(*arguments: str) -> Iterator[dict[str, Any]]:
    """A program, and what it says when it is ready; stopped at the end."""
    with subprocess.Popen(
        [*PROGRAM, *arguments],
        env=ENVIRON,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stdout is not None
        yield json.loads(child.stdout.readline())
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


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Of a relay whose mail goes to a server that refuses nobody@."""
    folder = tmp_path_factory.mktemp("lists")
    folder.chmod(0o711)
    data = folder / "data"
    with running("sink", "--listen", ANY, "--report", ANY) as sink:
        to = f"{sink['smtp']['host']}:{sink['smtp']['port']}"
        with running(
            *("up", "--data", str(data), "--route", to, "--listen", f"{ANY}/none"),
            *("--bounce-listen", ANY, "--health-listen", ANY),
        ) as ready:
            yield Operator(data, ready["submission"][0]["port"])


def test_a_dead_address_is_listed_then_suppressed_and_tried_again_once_it_is_removed(
    operator: Operator,
) -> None:
    first = operator.story_of_mail_to("nobody@dest.example")
    assert "  bounced  " in first
    assert "put on the list: hard bounce" in first
    assert ": 550 5.1.1 no such mailbox here" in first

    second = operator.story_of_mail_to("Nobody@dest.example")
    assert "  suppressed Nobody@dest.example: on the bounce list since " in second
    assert "(no such mailbox), not attempted" in second

    operator("suppression", "remove", "nobody@dest.example")
    assert "put on the list: hard bounce" in operator.story_of_mail_to("nobody@dest.example")


def test_mail_to_a_domain_that_is_not_mailed_for_a_time(operator: Operator) -> None:
    operator("suppression", "add", "@closed.example", "--days", "1", "--reason", "moving house")
    story = operator.story_of_mail_to("ann@closed.example")
    assert "on the manual list as @closed.example since " in story
    assert "(moving house), not attempted" in story
    operator("suppression", "remove", "@closed.example")
    assert "  delivered  " in operator.story_of_mail_to("ann@closed.example")
