"""The conversation of an SMTP session: commands carried out in order, and counted; no mail yet."""

from dataclasses import dataclass, field
from functools import cache

import structlog
from prometheus_client import Counter, Gauge

from ingest.core import gate, replies
from ingest.core.commands import Command, read_command
from ingest.door import Door
from ingest.listener import Listener, TlsMode
from ingest.smtp_wire import ClientGone, SmtpWire
from posthouse.mail.reply import Reply
from posthouse.store.accounts import Login

log = structlog.get_logger()

SESSIONS = Gauge("posthouse_smtp_sessions", "SMTP sessions that are open", ["listener"])
COMMANDS = Counter(
    "posthouse_smtp_commands", "SMTP commands by the class of their reply", ["verb", "code_class"]
)

_NOT_IDLE = frozenset(("MAIL", "RCPT", "DATA", "AUTH", "STARTTLS", "QUIT"))

# Looking a counter up, or making a value anew, costs more than using it: each is kept.
_sessions = cache(SESSIONS.labels)
_stage = cache(gate.Stage)


@cache
def _commands(verb: str, code: int) -> Counter:
    return COMMANDS.labels(verb, f"{code // 100}xx")


@dataclass(slots=True)
class Transaction:
    """An envelope in the making."""

    sender: str
    smtputf8: bool
    recipients: dict[str, None] = field(default_factory=dict)  # in order, each once


class SmtpConnection(SmtpWire):
    """One connection; subclasses carry out its commands in smtp_VERB methods."""

    def __init__(self, door: Door, listener: Listener) -> None:
        super().__init__(door.limits.command_seconds)
        self._door = door
        self._listener = listener
        self._label = str(listener)  # in metrics
        self._greeted = False
        self._login: Login | None = None
        self._mail: Transaction | None = None
        self._errors = 0
        self._idle_commands = 0

    async def serve(self) -> None:
        """Serve the client until it or we leave."""
        guests = self._door.guests
        sessions = _sessions(self._label)
        sessions.inc()
        try:
            if refused := guests.admit(self, self._client):
                self.leave(refused)
            else:
                await self._converse()
        except ClientGone:
            log.debug("client_gone", client=self._client)
        finally:
            guests.leave(self, self._client)
            sessions.dec()
            self._transport.close()

    async def _converse(self) -> None:
        self.answer(Reply(220, f"{self._door.hostname} ESMTP Posthouse"))
        while not self._leaving:
            if self._door.guests.stopping:
                self.leave(replies.STOPPING)
                return
            # Commands come in groups: most need not be waited for.
            line = self.take_line() or await self.read_line()
            command = line if isinstance(line, Reply) else read_command(line)
            if isinstance(command, Reply):
                self.answer(command)
                self._count("other")
            else:
                self._count(await self._carry_out(command))
            if self._room is not None:  # the client does not read our replies
                await self.drain()

    def _count(self, verb: str) -> None:
        """Count a command that was answered; whoever does nothing else has to go."""
        _commands(verb, self._last.code).inc()
        self._errors += replies.is_protocol_error(self._last)
        self._idle_commands = 0 if verb == "DATA" else self._idle_commands + (verb not in _NOT_IDLE)
        if self._errors >= self._door.limits.protocol_errors:
            self.leave(replies.TOO_MANY_ERRORS)
        elif self._idle_commands > self._door.limits.idle_commands:
            self.leave(replies.TOO_MANY_IDLE_COMMANDS)

    async def _carry_out(self, command: Command) -> str:
        """Answer *command*; the verb it is counted as."""
        verb = command.verb
        method = getattr(self, f"smtp_{verb}", None)
        if method is None:
            self.answer(replies.UNKNOWN_COMMAND)
            return "other"
        stage = _stage(self._must_start_tls, self._greeted, self._login is not None)
        if refused := gate.refuse(verb, stage):
            self.answer(refused)
            return verb
        try:
            await method(command.argument)
        except ClientGone:
            raise
        except Exception:
            # Whatever is wrong with us is no reason for a client to give a message up.
            log.exception("internal_fault", verb=verb, client=self._client)
            self.answer(replies.FAULT)
        return verb

    @property
    def _must_start_tls(self) -> bool:
        return self._listener.tls is TlsMode.STARTTLS_REQUIRED and not self._tls
