"""Our own client and our own server, one against the other, in memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.core.actions import Action, Closed, Finished, Ready, Send, SendContent, StartTls
from dispatcher.core.envelope import Envelope
from dispatcher.core.routes import TlsPolicy
from dispatcher.core.smtp_client import SmtpClient
from posthouse.mail.outcome import Delivered, Outcome
from posthouse.mail.reply import Reply
from posthouse.smtp.commands import Mail
from posthouse.smtp.server import SmtpServer
from posthouse.smtp.session_state import DataRequest, MessageReceived, ServerConfig, TlsRequest

TAKEN = Reply(250, "taken", "2.0.0")


class Pair:
    """Hands octets to and fro, in pieces of a given size, until both sides are silent."""

    def __init__(self, tls: TlsPolicy, piece: int) -> None:
        config = ServerConfig(
            hostname="mx.example",
            max_message_octets=10_000,
            requires_auth=False,
            offers_starttls=tls not in (TlsPolicy.CLEAR, TlsPolicy.IMPLICIT),
        )
        self.client = SmtpClient("relay.example", tls)
        self.server = SmtpServer(config, lambda _, __: None)
        self.piece = piece
        self.outcomes: list[Outcome] = []
        self.messages: list[tuple[str, tuple[str, ...], bytes]] = []
        self.ready = self.closed = False
        self.server.greet()
        self.go_on(self.client.tls_started() if tls is TlsPolicy.IMPLICIT else [])

    def go_on(self, actions: list[Action]) -> None:
        """Carry out what the client does, and what comes of it."""
        todo = list(actions)
        while todo or (said := self.server.take_output()):
            if not todo:
                for piece in self.cut(said):
                    todo += self.client.receive(piece)
                continue
            self.carry_out(todo.pop(0), todo)

    def carry_out(self, action: Action, todo: list[Action]) -> None:
        """Do what the client wants; what it says next is added to *todo*."""
        match action:
            case Send(octets):
                self.to_server(octets)
            case SendContent(portions):
                self.to_server(b"".join(piece for portion in portions for piece in portion))
            case StartTls():
                self.server.begin_tls()
                self.server.tls_started("TLSv1.3 X")
                todo += self.client.tls_started()
            case Finished(outcomes):
                self.outcomes += outcomes
            case Ready():
                self.ready = True
            case Closed():
                self.closed = True

    def to_server(self, octets: bytes) -> None:
        """Let the server receive *octets*; everything is allowed."""
        for piece in self.cut(octets):
            self.server.receive(piece)
            while (event := self.server.next_event()) is not None:
                match event:
                    case Mail():
                        self.server.accept_sender(event)
                    case DataRequest():
                        self.server.begin_data()
                    case MessageReceived(envelope, content):
                        assert isinstance(content, list)
                        recipients = tuple(envelope.recipients)
                        self.messages.append((envelope.sender, recipients, b"".join(content)))
                        self.server.answer(TAKEN)
                    case TlsRequest():
                        break
                    case _:
                        pytest.fail(f"{event} was not to come")

    def cut(self, octets: bytes) -> list[bytes]:
        """Pieces of *octets*."""
        return [octets[at : at + self.piece] for at in range(0, len(octets), self.piece)]


@pytest.mark.parametrize("tls", TlsPolicy)
@pytest.mark.parametrize("piece", [1, 7, 10_000])
def test_two_messages_and_goodbye(tls: TlsPolicy, piece: int) -> None:
    pair = Pair(tls, piece)
    assert pair.ready
    for body in (b".dots\r\n..\r\n.", b"second\r\n"):
        recipients = ("x@there.example", "y@there.example")
        pair.go_on(
            pair.client.begin(Envelope("jo@a.example", recipients, b"Subject: hi\r\n\r\n", body))
        )
    pair.go_on(pair.client.quit())

    assert [Delivered] * 4 == [type(outcome) for outcome in pair.outcomes]
    assert pair.closed
    assert pair.server.state.closed
    sent = [text for _, _, text in pair.messages]
    assert [b"Subject: hi\r\n\r\n.dots\r\n..\r\n.\r\n", b"Subject: hi\r\n\r\nsecond\r\n"] == sent
    assert ("jo@a.example", recipients) == pair.messages[0][:2]


LINE = st.lists(st.sampled_from([b".", b"..", b"a", b"\xff", b" "])).map(b"".join)


@given(st.lists(LINE, max_size=10), st.integers(1, 30))
def test_whatever_is_in_a_body_arrives(lines: list[bytes], piece: int) -> None:
    body = b"".join(line + b"\r\n" for line in lines)
    pair = Pair(TlsPolicy.CLEAR, piece)
    pair.go_on(
        pair.client.begin(Envelope("jo@a.example", ("x@there.example",), b"A: b\r\n\r\n", body))
    )
    assert [b"A: b\r\n\r\n" + body] == [text for _, _, text in pair.messages]
