"""A stack of docker-compose.yml, run by a real engine, beside any other one."""

import json
import os
import smtplib
import ssl
import subprocess
import urllib.request
from email.message import EmailMessage
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

from compose.compose_files import ROOT, read_env
from servers.patience import on_this_machine

Run: TypeAlias = subprocess.CompletedProcess[str]
_WITHIN = on_this_machine(120)


class Stack:
    """Its settings are a file in *folder*, begun with those of the demo and with *more*."""

    def __init__(self, folder: Path, **more: str) -> None:
        self.file = folder / "stack.env"
        self.settings = {
            **read_env(ROOT / "deploy/compose/demo.env"),
            "SETTINGS": str(self.file),
            "COMPOSE_PROJECT_NAME": f"posthouse-test-{uuid4().hex[:8]}",
            **more,
        }
        self.set()
        self.user = self.secret = ""

    def set(self, **more: str) -> None:
        """Change settings; they count from the next `up` on."""
        self.settings |= more
        self.file.write_text("".join(f"{name}={value}\n" for name, value in self.settings.items()))

    def run(self, *words: str, stdin: str | bytes = "", check: bool = True) -> Run:
        """`docker compose` with *words*."""
        return self._call(["docker", "compose", *words], stdin, check=check)

    def script(self, *words: str, folder: Path = ROOT) -> Run:
        """A script of deploy/compose."""
        return self._call([str(ROOT / "deploy/compose" / words[0]), *words[1:]], "", folder)

    def _call(
        self, words: list[str], stdin: str | bytes, folder: Path = ROOT, *, check: bool = True
    ) -> Run:
        given = stdin.encode() if isinstance(stdin, str) else stdin
        environ = {n: v for n, v in os.environ.items() if not n.startswith("POSTHOUSE_")}
        done = subprocess.run(
            words,
            cwd=folder,
            env={**environ, "COMPOSE_ENV_FILES": str(self.file)},
            input=given,
            capture_output=True,
            timeout=_WITHIN,
            check=False,
        )
        out, err = (text.decode(errors="surrogateescape") for text in (done.stdout, done.stderr))
        if check:
            assert done.returncode == 0, f"{' '.join(words)}: {err[-2000:]}"
        return subprocess.CompletedProcess(words, done.returncode, out, err)

    def up(self, *words: str, check: bool = True) -> Run:
        """Start what is not running, and wait until it is healthy."""
        return self.run("up", "--detach", "--wait", "--quiet-pull", *words, check=check)

    def down(self) -> None:
        """Remove everything."""
        self.run("down", "--volumes", "--timeout", "10", "--remove-orphans")

    def address(self, service: str, port: int, index: int = 1) -> tuple[str, int]:
        """Where that *port* is published."""
        said = self.run("port", "--index", str(index), service, str(port)).stdout
        host, _, published = said.strip().rpartition(":")
        return host, int(published)

    def posthouse(self, *words: str) -> str:
        """What the command says."""
        return self.run("exec", "-T", "ingest", "posthouse", *words).stdout

    def log_in_as_new_user(self) -> None:
        """Make a user for `send`."""
        made = json.loads(
            self.posthouse("credential", "create", "--domain", "example.com", "--json")
        )
        self.user, self.secret = made["username"], made["secret"]

    def send(self, recipient: str) -> None:
        """Submit a message over STARTTLS; raises what smtplib does."""
        message = EmailMessage()
        message["From"], message["To"] = "hello@example.com", f"{recipient}@there.example"
        message.set_content("It is on its way.\n")
        host, port = self.address("haproxy" if self.is_pair else "ingest", 2587)
        with smtplib.SMTP(host, port, timeout=_WITHIN) as relay:
            relay.starttls(context=ssl._create_unverified_context())  # noqa: S323 -- made by itself
            relay.login(self.user, self.secret)
            relay.send_message(message)

    @property
    def is_pair(self) -> bool:
        """Whether there are two of each service."""
        return "ha.yml" in self.settings.get("COMPOSE_FILE", "")

    def received(self) -> str:
        """The recipients whose messages the sink has, in JSON."""
        return self._asked("sink", 2680, "messages")

    def metrics(self, service: str, port: int = 9180, index: int = 1) -> str:
        """Those of a program, as text."""
        return self._asked(service, port, "metrics", index)

    def _asked(self, service: str, port: int, path: str, index: int = 1) -> str:
        host, published = self.address(service, port, index)
        with urllib.request.urlopen(f"http://{host}:{published}/{path}", timeout=60) as answer:
            said: bytes = answer.read()
        return said.decode()


def gateway() -> str:
    """This machine, as a container sees it."""
    form = "{{(index .IPAM.Config 0).Gateway}}"
    found = ["docker", "network", "inspect", "bridge", "--format", form]
    return subprocess.run(found, check=True, capture_output=True, text=True).stdout.strip()
