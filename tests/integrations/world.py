"""A relay that clients of others send through, and what they need to know of it."""

import asyncio
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from email.utils import getaddresses
from os import environ
from pathlib import Path

import dkim
import pytest
from bench.sink_session import Arrival

from servers.patience import until
from servers.shared_relay import Login, SharedRelay

DOMAIN = "example.com"
SENDER = f"shop@{DOMAIN}"
HOST = "localhost"  # which the certificate names, that the relay makes for itself
MODES = ("none", "opportunistic", "starttls_required", "implicit", "https")
MARKS = [
    pytest.mark.long,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(180),
]
_WITHIN = 100.0  # seconds, for a program

# What stands in settings as they are documented, in the place of what is so here.
_PLACEHOLDERS = re.compile(
    r"relay\.example\.com|\b(?:587|465|2525|2580|USER|SECRET)\b|/etc/ssl/relay\.crt|you@there\.example"
)


@dataclass(frozen=True, slots=True)
class Done:
    """A program that has ended."""

    status: int
    said: str  # on both streams


@dataclass
class World:
    """The relay with one login, its certificate, and a folder for each test."""

    relay: SharedRelay
    login: Login
    certificate: Path
    keys: Mapping[str, str]  # TXT records by name
    folder: Path
    ports: Mapping[str, int]  # of its listeners, by their mode
    recipient: str = field(default_factory=lambda: f"{uuid.uuid4().hex}@dest.example")

    def filled(self, text: str, *changes: tuple[str, str]) -> str:
        """*text* with *changes*, and with what is so here instead of what documents say."""
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        here = {
            "relay.example.com": HOST,
            "587": str(self.ports["starttls_required"]),
            "465": str(self.ports["implicit"]),
            "2525": str(self.ports["none"]),
            "2580": str(self.ports["https"]),
            "USER": self.login.username,
            "SECRET": self.login.secret,
            "/etc/ssl/relay.crt": str(self.certificate),
            "you@there.example": self.recipient,
        }
        return _PLACEHOLDERS.sub(lambda found: here[found[0]], text)

    def put(self, source: Path, *changes: tuple[str, str]) -> Path:
        """A copy of *source* in our folder, filled."""
        copy = self.folder / source.name
        copy.write_text(self.filled(source.read_text(), *changes))
        return copy

    async def run(
        self,
        command: Sequence[object],
        given: bytes = b"",
        variables: Mapping[str, str] | None = None,
    ) -> Done:
        """Run *command* in our folder, with *given* on its standard input."""
        process = await asyncio.create_subprocess_exec(
            *map(str, command),
            cwd=self.folder,
            env={
                "PATH": environ["PATH"],
                "HOME": str(self.folder),
                "LANG": "C.UTF-8",
                **(variables or {}),
            },
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await asyncio.wait_for(process.communicate(given), _WITHIN)
        except TimeoutError:
            process.kill()
            raise
        assert process.returncode is not None
        return Done(process.returncode, said.decode("utf-8", "replace"))

    async def succeeds(
        self,
        command: Sequence[object],
        given: bytes = b"",
        variables: Mapping[str, str] | None = None,
    ) -> str:
        """Run *command*, which must end well; what it said."""
        done = await self.run(command, given, variables)
        assert 0 == done.status, done.said
        return done.said

    async def arrivals(self, count: int = 1, recipient: str | None = None) -> list[Arrival]:
        """The messages to *recipient* (ours) when there are *count*, each genuine."""
        to = recipient or self.recipient

        def found() -> list[Arrival]:
            return [one for one in self.relay.sink.arrivals if to in one.recipients]

        await until(lambda: len(found()) >= count)
        assert count == len(found())
        for arrival in found():
            self.verify(arrival)
        return found()

    async def arrival(self) -> Arrival:
        """The one message to our recipient."""
        (arrival,) = await self.arrivals()
        return arrival

    @property
    def sender(self) -> str:
        """One of our domain whom only this test mails as."""
        return f"{self.recipient.partition('@')[0]}@{DOMAIN}"

    async def report(self) -> Arrival:
        """The one message to our sender, which nobody sent."""
        (arrival,) = await self.arrivals(recipient=self.sender)
        assert "" == arrival.sender
        return arrival

    def verify(self, arrival: Arrival) -> None:
        """Fail unless it is signed by the domain of its From, and every signature is good."""
        message = dkim.DKIM(arrival.content)
        signatures = [value for name, value in message.headers if name.lower() == b"dkim-signature"]
        ((_, address),) = getaddresses([message_from_bytes(arrival.content)["From"]])
        domain = address.partition("@")[2].encode()
        assert any(b"d=" + domain + b";" in value for value in signatures)
        for number in range(len(signatures)):
            assert message.verify(idx=number, dnsfunc=self._txt)

    def _txt(self, name: bytes, timeout: int = 5) -> bytes:
        _ = timeout
        return self.keys[name.decode().rstrip(".")].encode()


def body(content: bytes) -> bytes:
    """The body, with LF as line end."""
    return content.replace(b"\r\n", b"\n").partition(b"\n\n")[2]


def fields(content: bytes) -> list[bytes]:
    """The header fields, unfolded."""
    head = content.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    return re.sub(rb"\n[ \t]+", b" ", head).split(b"\n")


def check_same(given: bytes, arrived: bytes) -> None:
    """Fail unless what *arrived* has each header field of what was *given*, and its very body."""
    assert [one for one in fields(given) if one not in fields(arrived)] == []
    assert body(given) == body(arrived)
