"""One connection to the sink: its replies, what it accepts, how it misbehaves."""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self, cast

_ID = re.compile(rb"(?:\A|\r\n)X-(?:Bench-Id|N):[ \t]*([^\r\n]*)", re.IGNORECASE)
_ID_WITHIN = 1 << 14  # octets of a message in which its id is looked for
_END = b"\r\n.\r\n"

_GREETING = b"220 sink ESMTP\r\n"
_EHLO = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 104857600\r\n"
_OK = b"250 2.0.0 Ok\r\n"
_GO_AHEAD = b"354 End with a dot\r\n"
_TAKEN = b"250 2.0.0 Ok: taken\r\n"
_LATER = b"451 4.3.0 Try again later\r\n"
_NO_RECIPIENT = b"554 5.5.1 No valid recipients\r\n"
_BYE = b"221 2.0.0 Bye\r\n"
_UNKNOWN = b"500 5.5.2 Not understood\r\n"
_IGNORED = frozenset({b"HELO", b"RSET", b"NOOP"})


class Outcome(StrEnum):
    """The answer to the sender of a complete message."""

    TAKEN = "taken"
    CUT = "cut"  # taken, but the connection was closed instead of a reply
    SOFT = "soft"  # 451: not taken, to be sent again


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message complete with its final dot; times are seconds since the epoch."""

    id: str  # of X-Bench-Id or X-N; "" without
    started: float  # its MAIL command
    at: float  # its final dot
    outcome: Outcome
    sender: str
    recipients: tuple[str, ...]
    size: int  # octets on the wire, without the dot's line
    content: bytes  # dots undone; empty unless the sink keeps it


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reply to RCPT of some addresses."""

    pattern: str  # as of a shell, on the whole address in lower case
    reply: str  # "550 5.1.1 No such user"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "PATTERN=CODE TEXT"."""
        pattern, equals, reply = text.partition("=")
        if not equals or not re.match(r"[45]\d\d ", reply):
            raise ValueError(f"{text!r} is not PATTERN=CODE TEXT with a code of 4xx or 5xx")
        return cls(pattern.lower(), reply)


@dataclass(frozen=True, slots=True)
class Manners:
    """How the sink treats its clients."""

    refusals: Sequence[Refusal] = ()
    delay: float = 0.0  # seconds between the final dot and its reply
    cut: float = 0.0  # chance that a taken message is answered by closing the connection
    soft: float = 0.0  # chance that a message is answered 451
    seed: int = 0
    keep: bool = False  # whether contents are kept
    keep_first: int = 0  # ... or only those of this many messages


class Host(Protocol):
    """What a session needs from its sink."""

    manners: Manners
    arrivals: list[Arrival]

    def chance(self) -> float:
        """A number in [0, 1)."""

    def opened(self, session: "Session") -> None:
        """Count a connection."""

    def closed(self, session: "Session") -> None:
        """Forget a connection."""

    def refusal(self, address: str) -> bytes | None:
        """The reply that refuses *address*, if there is one."""

    def take(self, arrival: Arrival) -> None:
        """Remember *arrival*."""


class Session(asyncio.Protocol):
    """One connection. Input waits in one buffer; replies leave together."""

    transport: asyncio.Transport

    def __init__(self, sink: Host) -> None:
        self._sink = sink
        self._input = bytearray()
        self._searched = 0  # octets of a text that were searched for its end
        self._replies: list[bytes] = []
        self._in_text = self._waiting = False
        self._reset()

    def _reset(self) -> None:
        self._started = 0.0
        self._sender = ""
        self._recipients: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self.transport = cast("asyncio.Transport", transport)
        self._sink.opened(self)
        self.transport.write(_GREETING)

    def connection_lost(self, exc: Exception | None) -> None:
        """Close; a message without its final dot is dropped."""
        _ = exc
        self._waiting = True
        self._sink.closed(self)

    def data_received(self, data: bytes) -> None:
        """Process the input; octets may come in any pieces."""
        self._input += data
        self._go_on()

    def _go_on(self) -> None:
        while self._input and not self._waiting:
            if not (self._take_text() if self._in_text else self._take_line()):
                break
        if self._replies:
            self.transport.write(b"".join(self._replies))
            self._replies.clear()

    def _take_line(self) -> bool:
        end = self._input.find(b"\n")
        if end < 0:
            return False
        line = bytes(self._input[:end])
        del self._input[: end + 1]
        self._command(line)
        return True

    def _command(self, line: bytes) -> None:
        verb = line[:4].upper()
        if verb == b"RCPT":
            address = _address(line)
            refusal = self._sink.refusal(address)
            if refusal is None:
                self._recipients.append(address)
            self._replies.append(refusal or _OK)
        elif verb == b"MAIL":
            self._reset()
            self._started, self._sender = time.time(), _address(line)
            self._replies.append(_OK)
        elif verb == b"DATA":
            self._in_text = bool(self._recipients)
            self._replies.append(_GO_AHEAD if self._in_text else _NO_RECIPIENT)
        elif verb == b"QUIT":
            self._waiting = True
            self.transport.write(b"".join((*self._replies, _BYE)))
            self._replies.clear()
            self.transport.close()
        else:
            self._replies.append(
                _EHLO if verb == b"EHLO" else _OK if verb in _IGNORED else _UNKNOWN
            )

    def _take_text(self) -> bool:
        text = self._input
        if self._searched == 0 and text.startswith(_END[2:]):
            end, after = 0, len(_END) - 2
        else:
            end = text.find(_END, self._searched)
            after = end + len(_END)
        if end < 0:
            self._searched = max(len(text) - len(_END) + 1, 0)
            return False
        content = bytes(text[:end])
        del text[:after]
        self._searched = 0
        self._in_text = False
        self._arrive(content)
        return True

    def _arrive(self, content: bytes) -> None:
        manners, chance = self._sink.manners, self._sink.chance
        keep = manners.keep or len(self._sink.arrivals) < manners.keep_first
        outcome = Outcome.TAKEN
        if manners.soft and chance() < manners.soft:
            outcome = Outcome.SOFT
        elif manners.cut and chance() < manners.cut:
            outcome = Outcome.CUT
        found = _ID.search(content, 0, _ID_WITHIN)
        self._sink.take(
            Arrival(
                id=found[1].decode("ascii", "replace").strip() if found else "",
                started=self._started,
                at=time.time(),
                outcome=outcome,
                sender=self._sender,
                recipients=tuple(self._recipients),
                size=len(content) + 2,
                content=_without_dots(content) if keep else b"",
            )
        )
        self._reset()
        if manners.delay:
            self._waiting = True
            self.transport.write(b"".join(self._replies))
            self._replies.clear()
            asyncio.get_running_loop().call_later(manners.delay, self._answer_late, outcome)
        else:
            self._answer(outcome)

    def _answer_late(self, outcome: Outcome) -> None:
        if not self.transport.is_closing():
            self._waiting = False
            self._answer(outcome)
            self._go_on()

    def _answer(self, outcome: Outcome) -> None:
        if outcome is Outcome.CUT:
            self._waiting = True
            self.transport.abort()
        else:
            self._replies.append(_TAKEN if outcome is Outcome.TAKEN else _LATER)


def _address(line: bytes) -> str:
    begin = line.find(b"<")
    return line[begin + 1 : line.find(b">", begin)].decode("utf-8", "replace").lower()


def _without_dots(content: bytes) -> bytes:
    plain = (b"\r\n" + content).replace(b"\r\n.", b"\r\n")[2:]
    return plain + b"\r\n" if plain else plain
