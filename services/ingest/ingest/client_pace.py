"""How long a client may take, and what one that takes longer hears (RULES T04, X17)."""

import asyncio
from functools import cache
from typing import TypeAlias

from ingest.session_context import Limits
from ingest.smtp_wire import SmtpWire
from posthouse.mail.reply import Reply
from posthouse.smtp.data import ContentReader
from posthouse.smtp.server import SmtpServer
from posthouse.smtp.session_state import Chunk, SessionStage

Coming: TypeAlias = ContentReader | Chunk  # a message, or a chunk of one that was refused


class ClientPace:
    """Gives a client time again when it has made progress; one for each session."""

    def __init__(
        self, limits: Limits, idle_seconds: float, server: SmtpServer, wire: SmtpWire
    ) -> None:
        """*idle_seconds*: how long a client that is logged in may begin no message."""
        self._limits = limits
        self._for_message = idle_seconds, _idle(idle_seconds)
        self._for_command = limits.command_seconds, _no_command(limits.command_seconds)
        self._server = server
        self._wire = wire
        self._now = asyncio.get_running_loop().time
        self._lines_read = -1
        self._coming: Coming | None = None
        # When it has to be complete, a message or all chunks of a refused one; 0 when none comes.
        self._ends = 0.0
        self._counted = 0  # octets of it for which time was given

    def note(self) -> None:
        """Look at the progress; to be called before waiting for the client."""
        state = self._server.state
        coming = state.data or state.chunk
        if coming is not None:
            self._note_octets(coming)
            return
        if not state.discards_chunks:
            self._ends = 0.0
        if self._server.lines_read != self._lines_read:
            self._lines_read = self._server.lines_read
            self.give_time()

    def give_time(self) -> None:
        """For the next line, or for our answer to a message."""
        is_ready = self._server.state.stage is SessionStage.READY
        seconds, late = self._for_message if is_ready else self._for_command
        self._wire.expect(seconds, late)

    def _note_octets(self, coming: Coming) -> None:
        limits, now, received = self._limits, self._now(), coming.received_octets
        if coming is not self._coming:
            self._coming = coming
            if not (self._ends and self._server.state.discards_chunks):
                self._ends = now + limits.data_seconds
        elif received - self._counted < limits.octets_a_second * limits.command_seconds:
            return
        self._counted = received
        left = self._ends - now
        if left < limits.command_seconds:
            self._wire.expect(left, _unfinished(limits.data_seconds))
        else:
            self._wire.expect(limits.command_seconds, _too_slow(limits.octets_a_second))


# Enhanced code: RFC 3463 section 3.5, "bad connection".


@cache
def _no_command(seconds: float) -> Reply:
    return Reply(421, f"Timeout: no command for {seconds:g} seconds", "4.4.2")


@cache
def _idle(seconds: float) -> Reply:
    return Reply(421, f"Timeout: no message for {seconds:g} seconds", "4.4.2")


@cache
def _unfinished(seconds: float) -> Reply:
    return Reply(421, f"Timeout: message not complete after {seconds:g} seconds", "4.4.2")


@cache
def _too_slow(octets: int) -> Reply:
    return Reply(421, f"Timeout: less than {octets} octets a second of the message", "4.4.2")
