"""One SMTP session, server side, without sockets: octets in, replies and events out.

The rules (RFC 5321, PIPELINING RFC 2920, CHUNKING RFC 3030, STARTTLS RFC 3207, AUTH RFC 4954):

- `posthouse.smtp.verbs.VERBS` gives for each verb the stages at which it is open and its function.
  Commands are answered in their order, from this table or by the caller.
- `next_event` works on what was received until the caller has to decide something: then it returns
  an event, and reads on only after the caller has answered it. None: more octets are needed.
- Replies collect in `take_output`: those to commands that came together leave together.
- Octets that BDAT announces are never read as commands, whatever it is answered.
- Input in clear after STARTTLS is never read: another client may have sent it (CVE-2011-0411).
- A fault of ours within a message closes the session: the rest of the message would be read as
  commands.
"""

from collections.abc import Callable
from typing import TypeAlias

from posthouse.mail.reply import Reply
from posthouse.smtp import commands, replies
from posthouse.smtp.chunks import begin_chunk, end_chunk, take_chunk
from posthouse.smtp.command_lines import CommandLines, leaves
from posthouse.smtp.commands import Mail
from posthouse.smtp.data import ChunkReader, ContentReader, DataReader
from posthouse.smtp.mechanisms import CHALLENGE, LastWord, ScramExchange
from posthouse.smtp.session_state import (
    Chunk,
    Event,
    IncomingEnvelope,
    MessageReceived,
    ServerConfig,
    SessionStage,
    SessionState,
    TlsRequest,
)
from posthouse.smtp.verbs import VERBS, Result, continue_auth, refuse

Count: TypeAlias = Callable[[str, int], None]

_PERMANENT = 500  # the code of the first permanent error
# Verbs that lead to a message; the others are counted as idle.
_NOT_IDLE = frozenset(("MAIL", "RCPT", "DATA", "BDAT", "AUTH", "STARTTLS", "QUIT"))


class SmtpServer:
    """The server's side of one connection."""

    def __init__(self, config: ServerConfig, count: Count) -> None:
        """*count* is told verb and reply code of each command that was answered."""
        self._config = config
        self._count = count
        self.state = SessionState(config.max_message_octets)
        self.lines_read = 0  # and messages: the wire gives the client time for each
        self._received = bytearray()
        self._output = bytearray()
        self._lines = CommandLines()
        self._discards = False  # what comes in now is not for us

    @property
    def dismissed(self) -> bool:
        """Whether we ended the session, before its client did."""
        return self.state.closed and self._discards

    # Octets.

    def receive(self, data: bytes) -> int:
        """Take what the client sent. Returns how many octets wait to be read."""
        if not self._discards:
            self._received += data
        return len(self._received)

    def take_output(self) -> bytes:
        """What has to be sent now."""
        output = bytes(self._output)
        self._output.clear()
        return output

    # The caller's side.

    def greet(self) -> None:
        """Begin the session."""
        self._say(Reply(220, f"{self._config.hostname} ESMTP {self._config.product}"))

    def next_event(self) -> Event | None:
        """What the caller has to answer next; None when more octets are needed."""
        state = self.state
        while not (state.waiting or state.closed):
            if state.chunk is not None:
                event = self._read_chunk(state.chunk)
                if event is None and state.chunk is not None:
                    return None
            elif isinstance(state.data, DataReader):
                return self._read_data(state.data)
            else:
                line = self._lines.take(self._received)
                if line is None:
                    return None
                self.lines_read += 1
                event = self._on_line(line)
            if event is not None:
                return event
        return None

    def answer(self, reply: Reply) -> None:
        """Answer the event that waits with *reply*."""
        verb, self.state.waiting = self.state.waiting, ""
        self.state.mechanism, self.state.exchange = "", None
        if self.state.chunk is None:
            self._conclude(verb, reply)
        else:  # its octets come first
            self.state.chunk.reply = reply

    def accept_sender(self, mail: Mail) -> None:
        """Answer `Mail`: this sender may send."""
        state = self.state
        state.envelope = IncomingEnvelope(str(mail.sender or ""), mail.smtputf8, dsn=mail.dsn)
        state.stage = SessionStage.SENDER
        state.messages += 1
        self.answer(replies.SENDER_OK)

    def begin_data(self, line_limit: int | None = None, *, cleans: bool = False) -> None:
        """Answer `DataRequest`: the message may come; of its lines, see `ContentReader`."""
        state = self.state
        state.waiting = ""
        if state.chunk is None:
            state.data = DataReader(state.max_message_octets, line_limit, cleans=cleans)
            self._say(replies.SEND_DATA)
        else:
            state.data = ChunkReader(state.max_message_octets, line_limit, cleans=cleans)
            state.stage = SessionStage.CHUNKS

    def send_salt(self, salt: bytes, iterations: int) -> None:
        """Answer `ScramRequest`: the client may prove that it knows the secret."""
        exchange = self.state.exchange
        assert isinstance(exchange, ScramExchange)  # by the event
        self.state.waiting = ""
        self._say(exchange.send_salt(salt, iterations))

    def log_in(self, max_message_octets: int, last_word: bytes = b"") -> None:
        """Answer `AuthRequest`: the client may send, messages of this size at most.

        *last_word*: what its mechanism says before that (RFC 4954 section 4).
        """
        state = self.state
        state.authenticated = True
        state.max_message_octets = max_message_octets
        state.stage = SessionStage.READY
        if not last_word:
            self.answer(replies.LOGGED_IN)
            return
        exchange = LastWord(last_word)
        state.mechanism, state.exchange, state.waiting = "AUTH", exchange, ""
        self._say(exchange.first_challenge)

    def begin_tls(self) -> None:
        """The handshake begins now: what comes in from here on came encrypted."""
        self._received.clear()
        self._discards = False

    def tls_started(self, tls: str) -> None:
        """TLS is on, by `TlsRequest` or from the start: go on as with a new client (RFC 3207 4.2).

        *tls*: version and cipher. What was counted against the client still is.
        """
        old = self.state
        self.state = SessionState(self._config.max_message_octets, tls=tls)
        self.state.errors, self.state.idle_commands = old.errors, old.idle_commands
        self.state.messages = old.messages

    def forgive(self) -> None:
        """A message was accepted: earlier errors no longer count."""
        self.state.errors = 0

    def break_down(self, reply: Reply) -> None:
        """Answer *reply* for a fault of ours; close if the rest of a message is still to come."""
        if self.state.waiting:
            self.answer(reply)
        elif self.state.data is not None:
            self._count("BDAT" if self.state.chunk else "DATA", reply.code)
            self.close(reply)
        else:
            self._conclude("other", reply)

    def close(self, reply: Reply) -> None:
        """End the session with *reply*, which answers what waits; nothing else is read."""
        state = self.state
        if state.closed:
            return
        self._say(reply)
        if state.waiting:
            self._count(state.waiting, reply.code)
            state.waiting = ""
        state.closed = self._discards = True
        state.data = None
        self._received.clear()

    # Input from the client.

    def _on_line(self, line: bytes | Reply) -> Event | None:
        state, config = self.state, self._config
        if state.mechanism and not leaves(line):
            text = line if isinstance(line, Reply) else commands.read_line(line)
            return self._asked("AUTH", continue_auth(state, text))
        command = line if isinstance(line, Reply) else commands.read_command(line)
        if isinstance(command, Reply):
            if isinstance(line, bytes) and line[:4].upper() == b"BDAT":
                return self._on_chunk("")  # octets follow it all the same
            return self._asked("other", command)
        name, argument = command
        if name == "BDAT":
            return self._on_chunk(argument)
        state.discards_chunks = False
        verb = VERBS.get(name)
        if verb is None:
            return self._asked("other", replies.UNKNOWN_COMMAND)
        result = refuse(verb, state, config, argument) or verb.carry_out(state, config, argument)
        return self._asked(name, result)

    def _asked(self, verb: str, result: Result) -> Event | None:
        """Answer a command with its reply; or the event of one that the caller has to answer."""
        if not isinstance(result, Reply):
            self.state.waiting = verb
            if isinstance(result, TlsRequest):
                self._conclude(verb, replies.READY_FOR_TLS)
                self._received.clear()
                self._discards = True
            return result
        if result.code == CHALLENGE:
            self._say(result)
        else:
            self._conclude(verb, result)
        if result is replies.GOODBYE or result.code == replies.CLOSING:
            self.state.closed = True
        return None

    def _read_data(self, data: DataReader) -> MessageReceived | None:
        complete = self._received and data.feed(self._received)
        return self._received_message("DATA", data) if complete else None

    def _received_message(self, verb: str, data: ContentReader) -> MessageReceived:
        state = self.state
        assert state.envelope is not None
        received = MessageReceived(state.envelope, data.result(), data.cleaned)
        state.data = state.envelope = None
        state.stage = SessionStage.READY
        state.waiting = verb
        self.lines_read += 1
        return received

    # Chunks.

    def _on_chunk(self, argument: str) -> Event | None:
        event = begin_chunk(self.state, self._config, argument)
        if self.state.chunk is None:
            self._count("BDAT", replies.BDAT_SYNTAX.code)
            self.close(replies.BDAT_SYNTAX)
        return None if event is None else self._asked("BDAT", event)

    def _read_chunk(self, chunk: Chunk) -> Event | None:
        """Read on in *chunk*; an event if its message has ended."""
        state = self.state
        if not take_chunk(state, chunk, self._received):
            return None
        reply = end_chunk(state, chunk)
        if reply is not None:
            self._conclude("BDAT", reply, is_idle=not (chunk.size or chunk.last))
            return None
        assert state.data is not None
        return self._received_message("BDAT", state.data)

    # Replies.

    def _say(self, reply: Reply) -> None:
        self._output += replies.written(reply)

    def _conclude(self, verb: str, reply: Reply, *, is_idle: bool = False) -> None:
        """Answer a command; a client that only makes errors, or does nothing, has to go."""
        state = self.state
        self._say(reply)
        self._count(verb, reply.code)
        if is_idle or verb not in _NOT_IDLE:
            state.idle_commands += 1
            if state.idle_commands > self._config.max_idle_commands:
                self.close(replies.TOO_MANY_IDLE_COMMANDS)
        elif verb in ("DATA", "BDAT"):
            state.idle_commands = 0
        if reply.code >= _PERMANENT and replies.is_protocol_error(reply):
            state.errors += 1
            if state.errors >= self._config.max_protocol_errors:
                self.close(replies.TOO_MANY_ERRORS)
