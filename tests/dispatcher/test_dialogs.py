"""Every file in tests/dialogs, played to the client: whole, byte by byte, and cut in mid-line."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, groupby
from pathlib import Path

import pytest

from dispatcher.core.actions import Action, Closed, Finished, Ready, Send, SendContent, StartTls
from dispatcher.core.envelope import Envelope
from dispatcher.core.relay_login import RelayLogin
from dispatcher.core.routes import TlsPolicy
from dispatcher.core.smtp_client import SmtpClient
from posthouse.mail.dsn_request import DsnRequest
from posthouse.mail.outcome import Outcome
from posthouse.mail.reply import Reply
from posthouse.smtp.commands import Mail, read_mail, read_rcpt

DIALOGS = sorted((Path(__file__).parents[1] / "dialogs").glob("*.smtp"))

Line = tuple[str, str]


@dataclass
class Dialog:
    """A file, read."""

    tls: TlsPolicy = TlsPolicy.CLEAR
    login: RelayLogin | None = None
    by_helo: bool = False
    sender: str = "s@relay.example"
    header: str = "Subject: hi"
    body: str = "text"
    final_line_end: str = "\r\n"
    dsn: DsnRequest | None = None
    lines: list[Line] = field(default_factory=list)

    def asks(self, about: str, parameters: str) -> None:
        """Add parameters of DSN: of the message, or of a recipient."""
        if about == "MAIL":
            mail = read_mail(f"FROM:<> {parameters}")
            assert isinstance(mail, Mail)
            self.dsn = mail.dsn
        else:
            rcpt = read_rcpt(f"TO:<{about}> {parameters}", smtputf8=True)
            assert not isinstance(rcpt, Reply)
            _, asked = rcpt
            assert asked is not None
            before = self.dsn or DsnRequest()
            self.dsn = replace(before, recipients={**before.recipients, about: asked})

    @classmethod
    def read(cls, path: Path) -> "Dialog":
        """The dialog in a file."""
        dialog = cls()
        for text in path.read_text().splitlines():
            kind, _, rest = text.partition(" ")
            name, _, value = rest.partition(" ")
            match kind, name:
                case ("#", _):
                    continue
                case ("!", "tls"):
                    dialog.tls = TlsPolicy(value)
                case ("!", "login"):
                    dialog.login = RelayLogin(*value.split())
                case ("!", "by"):
                    dialog.by_helo = True
                case ("!", "sender" | "header" | "body"):
                    setattr(dialog, name, unescaped(value))
                case ("!", "asks"):
                    dialog.asks(*value.split(" ", 1))
                case ("!", "no"):
                    dialog.final_line_end = ""
                case ("S:" | "C:" | "=" | "!", _):
                    dialog.lines.append((kind, rest))
                case _:
                    pytest.fail(f"{path.name}: {text!r} is not a line of a dialog")
        return dialog

    def envelopes(self) -> Iterator[Envelope]:
        """One for each block of "=" lines."""
        content = self.header.encode() + b"\r\n\r\n", (self.body + self.final_line_end).encode()
        for kind, block in groupby(self.lines, key=lambda line: line[0]):
            if kind == "=":
                recipients = tuple(unescaped(expected(text)[0]) for _, text in block)
                yield Envelope(self.sender, recipients, *content, dsn=self.dsn)


def unescaped(text: str) -> str:
    for written, meant in (("\\r", "\r"), ("\\n", "\n"), ("\\0", "\0")):
        text = text.replace(written, meant)
    return text


def expected(text: str) -> tuple[str, str]:
    """Recipient (which may hold blanks inside quotes) and what should become of it."""
    end = text.index(" ", text.rindex("@"))
    return text[:end], text[end + 1 :]


def shown(outcome: Outcome) -> str:
    words = [type(outcome).__name__.lower(), outcome.reply.enhanced or str(outcome.reply.code)]
    if getattr(outcome, "asked_for_reports", False):
        words.append("asked")
    scope = getattr(outcome, "scope", None)
    return " ".join([*words, scope] if scope else words)


class Play:
    """A client on a stage: keeps what it says and what comes of it."""

    def __init__(self, dialog: Dialog) -> None:
        self.client = SmtpClient(
            "relay.example", dialog.tls, login=dialog.login, by_helo=dialog.by_helo
        )
        self.said = b""
        self.envelopes = dialog.envelopes()
        self.outcomes: list[Outcome] = []
        self.closed: Closed | None = None

    def act(self, actions: list[Action]) -> None:
        """Note what the client does."""
        for action in actions:
            match action:
                case Send(octets):
                    assert self.closed is None
                    self.said += octets
                case SendContent(portions):
                    assert self.closed is None
                    self.said += b"".join(chain.from_iterable(portions))
                case Finished(outcomes):
                    self.outcomes += outcomes
                case Closed():
                    self.closed = action
                case Ready() | StartTls():
                    pass

    def client_says(self, text: str) -> None:
        """Expect these words, after a message or a QUIT is begun if need be."""
        if self.client.is_idle and not self.said:
            goodbye = text == "QUIT\r\n"
            start = self.client.quit if goodbye else self.begin
            self.act(start())
        assert text.encode() == self.said
        self.said = b""

    def begin(self) -> list[Action]:
        """Hand over the next message."""
        return self.client.begin(next(self.envelopes))

    def comes_out(self, results: list[str]) -> None:
        """Expect these outcomes, in this order."""
        if not self.outcomes:
            self.act(self.begin())
        assert results == [shown(outcome) for outcome in self.outcomes]
        self.outcomes = []

    def happens(self, event: str) -> None:
        """Let a line with "!" happen, or see whether it did."""
        name, _, detail = event.partition(" ")
        match name:
            case "open":
                assert self.client.is_idle
            case "closed":
                assert self.closed is not None
                assert detail in ("", self.closed.reason.scope)
            case "lost":
                self.act(self.client.lost("connection reset", flushed=detail != "unflushed"))
            case "handshake":
                self.act(self.client.tls_started())
            case _:
                pytest.fail(f"nothing is called {event!r}")


def whole(said: bytes) -> list[bytes]:
    return [said]


def byte_by_byte(said: bytes) -> list[bytes]:
    return [said[at : at + 1] for at in range(len(said))]


def in_mid_line(said: bytes) -> list[bytes]:
    """Each line's last byte comes with the next line: every packet leaves something over."""
    cuts = [at for at, byte in enumerate(said) if byte == ord("\n")]
    return [said[a:b] for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True)]


@pytest.mark.parametrize("cut", [whole, byte_by_byte, in_mid_line])
@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
def test_dialog(path: Path, cut: Callable[[bytes], list[bytes]]) -> None:
    dialog = Dialog.read(path)
    play = Play(dialog)
    for kind, block in groupby(dialog.lines, key=lambda line: line[0]):
        texts = [text for _, text in block]
        match kind:
            case "S:":
                for data in cut("".join(f"{text}\r\n" for text in texts).encode()):
                    play.act(play.client.receive(data))
            case "C:":
                play.client_says("".join(f"{text}\r\n" for text in texts))
            case "=":
                play.comes_out([expected(text)[1] for text in texts])
            case _:
                for text in texts:
                    play.happens(text)

    assert play.said == b""
    assert play.outcomes == []
