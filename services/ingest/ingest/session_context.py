"""The context of all sessions: limits, the directory and the intake."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from ingest.authenticator import Authenticator, Directory
from ingest.backpressure import ConnectionLimiter, MemoryBudget, StoreBackoff
from posthouse.mail.submission import Submission


@dataclass(frozen=True, slots=True)
class Limits:
    """Octets, seconds and counts; where RFC 5321 section 4.5.3 has a value, it is the default."""

    message_octets: int = 26_214_400  # advertised as SIZE
    header_octets: int = 65_536  # the largest header that is parsed
    octets_in_flight: int = 134_217_728  # of all messages being received at one time
    recipients: int = 1_000
    command_seconds: float = 300.0  # at least 60 (RULES T04)
    handshake_seconds: float = 30.0
    # A slow disk has this long to commit: a client that hears 451 sends again what may be kept
    # after all (RFC 1047), and it waits ten minutes. Longer than any statement may take.
    accept_seconds: float = 12.0
    directory_seconds: float = 3.0
    connections: int = 2_000
    connections_per_address: int = 200
    protocol_errors: int = 20
    idle_commands: int = 100  # NOOP, RSET, VRFY... between two messages
    login_failures: int = 3  # in one connection
    login_failure_seconds: float = 0.5  # how long a wrong secret waits for its answer


class Intake(Protocol):
    """Keeps mail."""

    async def accept(self, submission: Submission) -> None:
        """Return when *submission* is committed; raises StoreFull or StoreUnavailable.

        Cancelled when the client is gone: then it may or may not have been committed.
        """


@dataclass(frozen=True, slots=True)
class SessionContext:
    """The context of a session."""

    hostname: str
    limits: Limits
    intake: Intake
    authenticator: Authenticator
    connections: ConnectionLimiter
    memory: MemoryBudget
    store_backoff: StoreBackoff
    clock: Callable[[], float]  # monotonic seconds
    has_room: Callable[[], bool]  # for another message, on the disk of the database
    new_id: Callable[[], UUID]
    tls: ssl.SSLContext | None  # None: only listeners without TLS

    @classmethod
    def new(
        cls,
        *,
        hostname: str,
        intake: Intake,
        directory: Directory,
        pepper: bytes,
        tls: ssl.SSLContext | None,
        new_id: Callable[[], UUID],
        clock: Callable[[], float],
        has_room: Callable[[], bool] = lambda: True,
        limits: Limits = Limits(),
    ) -> "SessionContext":
        """The context of a service that starts; *pepper* keys the hashes of secrets."""
        total, per_address = limits.connections, limits.connections_per_address
        return cls(
            hostname=hostname,
            limits=limits,
            intake=intake,
            authenticator=Authenticator(directory, pepper, clock, limits.directory_seconds),
            connections=ConnectionLimiter(total=total, per_address=per_address),
            memory=MemoryBudget(limits.octets_in_flight),
            store_backoff=StoreBackoff(),
            clock=clock,
            has_room=has_room,
            new_id=new_id,
            tls=tls,
        )
