"""Plays damaged SMTP sessions to the server's side, without sockets: 100,000 in some minutes.

PYTHONPATH=tests python -m fuzz.sessions [N] [--seed SEED], or `make fuzz-sessions`.

Of each session: nothing raises; cut anywhere, it gets the same replies and asks the same; each
command has one reply; no message is heard that the octets do not say; and who was not sent away
is still served.
"""

import argparse
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from fuzz.session_damage import damaged_session, sessions
from fuzz.session_model import Model, codes
from posthouse.mail.reply import Reply
from posthouse.smtp.commands import Mail
from posthouse.smtp.data import Flaw
from posthouse.smtp.mechanisms import ScramRequest
from posthouse.smtp.server import SmtpServer
from posthouse.smtp.session_state import (
    AuthRequest,
    DataRequest,
    Event,
    MessageReceived,
    ServerConfig,
    SessionStage,
    TlsRequest,
)

_LIMIT = 1_000  # octets of a message
_FAILED = Path("fuzz-failed.smtp")
_TAKEN, _REFUSED = Reply(250, "taken", "2.0.0"), Reply(550, "not taken", "5.7.1")
_FULL = Reply(452, "full", "4.3.1")


@dataclass
class Play:
    """One session, with a caller that decides by what it is asked, and by nothing else."""

    config: ServerConfig
    cleans: bool
    asked: list[object] = field(default_factory=list)
    counted: list[tuple[str, int]] = field(default_factory=list)
    output: bytes = b""
    in_tls: bool = False

    def hear(self, pieces: Iterable[bytes]) -> SmtpServer:
        """Play *pieces*, up to STARTTLS: what follows that in clear is thrown away."""
        server = SmtpServer(self.config, lambda verb, code: self.counted.append((verb, code)))
        server.greet()
        for piece in pieces:
            server.receive(piece)
            while not self.in_tls and (event := server.next_event()) is not None:
                self._answer(server, event)
            self.output += server.take_output()
            if self.in_tls:
                break
        self.output += server.take_output()
        return server

    def _answer(self, server: SmtpServer, event: Event) -> None:
        match event:
            case Mail():
                self.asked.append(str(event.sender))
                server.accept_sender(event)
            case AuthRequest():
                server.log_in(_LIMIT)
            case ScramRequest():
                server.answer(_REFUSED)
            case DataRequest():
                self.asked.append("data")
                if len(self.asked) % 7:
                    server.begin_data(cleans=self.cleans)
                else:
                    server.answer(_FULL)
            case MessageReceived(envelope, content, cleaned):
                heard = content if isinstance(content, Flaw) else b"".join(content)
                self.asked.append((tuple(envelope.recipients), heard, cleaned))
                server.answer(_REFUSED if isinstance(content, Flaw) else _TAKEN)
            case TlsRequest():
                self.in_tls = True


def check_session(said: bytes, config: ServerConfig, cuts: Random, *, cleans: bool) -> None:
    """Play *said* whole and cut; raises AssertionError, or whatever the server raises."""
    whole = Play(config, cleans)
    server = whole.hear([said])
    for most in (1, 3, 40):
        again = Play(config, cleans)
        again.hear(_pieces(said, cuts, most))
        assert (whole.output, whole.asked) == (again.output, again.asked)
        assert whole.counted == again.counted
    greeting, *given = codes(whole.output)
    assert greeting == 220
    _compare(Model(said, cleans, _LIMIT, iter(given)), whole)
    if not (server.state.closed or whole.in_tls):
        _is_served(server, whole)


def _pieces(said: bytes, cuts: Random, most: int) -> Iterator[bytes]:
    at = 0
    while at < len(said):
        octets = cuts.randrange(1, most + 1)
        yield said[at : at + octets]
        at += octets


def _compare(model: Model, play: Play) -> None:
    model.walk()
    assert list(model.replies) in ([], [421])  # it may have heard 421 behind another reply
    assert model.commands - len(play.counted) in (0, 1)  # a 421 that answers no command
    heard = iter(model.heard)
    for event in play.asked:
        if isinstance(event, tuple):
            recipients, content, _ = event
            assert any(most >= len(recipients) > 0 and content == one for most, one in heard), event


def _is_served(server: SmtpServer, play: Play) -> None:
    """Whatever it was at, a client that ends it is answered."""
    state = server.state
    in_data = state.data is not None and state.stage is not SessionStage.CHUNKS
    server.receive(b"\r\n.\r\n" if in_data else b"\r\nNOOP\r\n")
    while (event := server.next_event()) is not None:
        play._answer(server, event)
    assert server.take_output() != b"" or state.chunk is not None


def configuration(random: Random) -> ServerConfig:
    """A server of one kind or another."""
    return ServerConfig(
        hostname="mx.example",
        max_message_octets=_LIMIT,
        max_recipients=3,
        offers_starttls=random.random() < 0.1,
        requires_auth=random.random() < 0.3,
        max_protocol_errors=random.choice((5, 20, 100)),
        max_idle_commands=random.choice((5, 100)),
        max_messages=random.choice((None, None, 2)),
    )


def run(count: int, seed: int) -> str | None:
    """Check so many sessions; what failed, None for nothing."""
    random, whole = Random(seed), sessions()  # noqa: S311 - damage, no secret
    for number in range(count):
        said, config = damaged_session(random, whole), configuration(random)
        try:
            check_session(said, config, random, cleans=bool(number % 2))
        except Exception:  # noqa: BLE001 - whatever it is, that is what is looked for
            _FAILED.write_bytes(said)
            return f"session {number} ({config}):\n{traceback.format_exc()}It is in {_FAILED}\n"
    return None


def main() -> int:
    """Run, print one line or what failed; 1 if anything did."""
    parser = argparse.ArgumentParser(prog="fuzz.sessions", description=__doc__)
    parser.add_argument("n", type=int, nargs="?", default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    begin = time.monotonic()
    failure = run(options.n, options.seed)
    took = time.monotonic() - begin
    sys.stdout.write(failure or f"{options.n} damaged sessions in {took:.0f} s: nothing found\n")
    return int(failure is not None)


if __name__ == "__main__":
    sys.exit(main())
