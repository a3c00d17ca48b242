"""The files in tests/dialogs/server, played whole, octet by octet, and cut in mid-line."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest

from posthouse.mail.reply import Reply
from posthouse.smtp.commands import Credentials, Mail
from posthouse.smtp.data import Flaw
from posthouse.smtp.mechanisms import ScramRequest
from posthouse.smtp.server import SmtpServer
from posthouse.smtp.session_state import (
    AuthRequest,
    DataRequest,
    Event,
    MessageReceived,
    ServerConfig,
    TlsRequest,
)

DIALOGS = sorted((Path(__file__).parents[1] / "dialogs" / "server").glob("*.smtp"))
FAULT = Reply(451, "fault", "4.3.0")


def unescaped(text: str) -> str:
    for written, meant in (("\\r", "\r"), ("\\n", "\n"), ("\\0", "\0")):
        text = text.replace(written, meant)
    return text


def reply(text: str) -> Reply:
    return Reply.from_lines(int(text[:3]), (text[4:],))


def shown(event: Event) -> str:
    match event:
        case Mail():
            return f"sender {event.sender or '<>'}"
        case ScramRequest(username):
            return f"scram {username}"
        case AuthRequest(mechanism, credentials):
            assert isinstance(credentials, Credentials)
            return f"login {mechanism} {credentials.username} {credentials.secret}"
        case DataRequest():
            return "data"
        case TlsRequest():
            return "tls"
        case MessageReceived(envelope, content):
            text = content.name if isinstance(content, Flaw) else b"".join(content).decode()
            return f"message {envelope.sender or '<>'} {','.join(envelope.recipients)} {text}"


class Play:
    """A server on a stage, and the answers that its caller will give."""

    def __init__(self, config: ServerConfig, answers: Iterator[str]) -> None:
        self.server = SmtpServer(config, self.count)
        self.answers = answers
        self.said = b""
        self.counted: list[tuple[str, int]] = []
        self.server.greet()

    def count(self, verb: str, code: int) -> None:
        """Note a command that was answered."""
        self.counted.append((verb, code))

    def hear(self, data: bytes) -> None:
        """Let the server receive *data*, and answer what it asks."""
        self.server.receive(data)
        while (event := self.server.next_event()) is not None:
            expected, _, answer = next(self.answers).partition(" : ")
            assert unescaped(expected) == shown(event)
            self.answer(event, answer)
            if isinstance(event, TlsRequest):
                break

    def answer(self, event: Event, answer: str) -> None:
        """Answer *event* as its line says; without an answer the client may go on."""
        server = self.server
        kind, _, rest = answer.partition(" ")
        match kind, event:
            case "", Mail():
                server.accept_sender(event)
            case "", AuthRequest():
                server.log_in(1_000)
            case (("" | "clean"), DataRequest()):
                server.begin_data(cleans=kind == "clean")
            case "", TlsRequest():
                pass
            case "close", _:
                server.close(reply(rest))
            case "fault", _:
                server.break_down(FAULT)
            case _:
                server.answer(reply(answer))

    def happens(self, event: str) -> None:
        """Let a line with "!" happen, or see whether it did."""
        match event:
            case "closed":
                assert self.server.state.closed
            case "handshake":
                self.server.begin_tls()
                self.server.tls_started("TLSv1.3 X")
            case "fault":
                self.server.break_down(FAULT)
            case _:
                pytest.fail(f"nothing is called {event!r}")


def config(settings: list[str]) -> ServerConfig:
    made = ServerConfig(hostname="mx.example", max_message_octets=1_000)
    for setting in settings:
        name, _, value = setting.partition(" ")
        if name == "no_auth":
            made = replace(made, requires_auth=False)
        else:
            made = replace(made, **{name: int(value) if value else True})  # type: ignore[arg-type]
    return made


def whole(said: bytes) -> list[bytes]:
    return [said]


def octet_by_octet(said: bytes) -> list[bytes]:
    return [said[at : at + 1] for at in range(len(said))]


def in_mid_line(said: bytes) -> list[bytes]:
    """Each line's last octet comes with the next line."""
    cuts = [at for at, octet in enumerate(said) if octet == ord("\n")]
    return [said[a:b] for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True)]


@pytest.mark.parametrize("cut", [whole, octet_by_octet, in_mid_line])
@pytest.mark.parametrize("path", DIALOGS, ids=lambda path: path.stem)
def test_dialog(path: Path, cut: Callable[[bytes], list[bytes]]) -> None:
    lines = [line.partition(" ")[::2] for line in path.read_text().splitlines()]
    first = next(at for at, (kind, _) in enumerate(lines) if kind in ("S:", "C:"))
    settings = [text for kind, text in lines[:first] if kind == "!"]
    play = Play(config(settings), (text for kind, text in lines if kind == ">"))
    for kind, block in groupby(lines[first:], key=lambda line: line[0]):
        texts = [text for _, text in block]
        match kind:
            case "C:":
                for data in cut("".join(f"{unescaped(text)}\r\n" for text in texts).encode()):
                    play.hear(data)
            case "S:":
                play.said += play.server.take_output()
                assert "".join(f"{text}\r\n" for text in texts).encode() == play.said
                play.said = b""
            case "!":
                for text in texts:
                    play.happens(text)
            case _:
                assert kind in ("#", ">"), f"{kind} begins no line of a dialog"

    assert play.server.take_output() == b""
    assert list(play.answers) == []
    codes = [code for _, code in play.counted]
    assert all(200 <= code < 600 and code != 334 for code in codes)  # each command once
