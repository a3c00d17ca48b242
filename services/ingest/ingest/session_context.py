"""The context of all sessions: limits, the directory and the intake."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from ingest.backpressure import MemoryBudget, StoreBackoff
from ingest.connection_limiter import ConnectionLimiter, ConnectionLimits
from ingest.core.operator_rules import NO_RULES, OperatorRules
from ingest.domain_owners import DomainOwners, DomainRegister
from ingest.header_thread import HeaderThread
from ingest.rate_checks import RateChecks, RateCounts
from ingest.session_facts import KnownFacts
from posthouse.authentication.authenticator import Authenticator
from posthouse.authentication.directory import Directory
from posthouse.authentication.proofs import AuthKeys
from posthouse.mail.submission import Submission
from posthouse.mail.terms import Acceptance
from posthouse.running.certificate import Certificate
from posthouse.running.traces import Traces


@dataclass(frozen=True, slots=True)
class Limits:
    """What is offered; octets, seconds and counts, by default those of RFC 5321 section 4.5.3."""

    message_octets: int = 26_214_400  # advertised as SIZE
    header_octets: int = 1_048_576  # the largest header that is parsed
    octets_in_flight: int = 134_217_728  # of all messages being received at one time
    recipients: int = 1_000
    command_seconds: float = 300.0  # for a line, and for the next part of a message
    idle_seconds: float = 300.0  # for the next message
    data_seconds: float = 3_600.0  # for all of a message
    octets_a_second: int = 800  # of a message, on average over the time of a command
    proxy_seconds: float = 5.0  # for the header of a proxy
    handshake_seconds: float = 30.0
    # A slow disk has this long to commit: a client that hears 451 sends again what may be kept
    # after all (RFC 1047), and it waits ten minutes. Longer than any statement may take.
    accept_seconds: float = 12.0
    directory_seconds: float = 3.0
    connections: int = 2_000
    connections_per_address: int = 200
    connections_per_credential: int = 500
    connections_a_minute: int | None = None  # new ones from an address; None: any number
    protocol_errors: int = 20
    idle_commands: int = 100  # NOOP, RSET, VRFY... between two messages
    messages_per_connection: int | None = None  # None: any number
    mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN", "SCRAM-SHA-256")  # of AUTH
    login_failures: int = 3  # in one connection
    login_failure_seconds: float = 0.5  # an answer to a wrong secret leaves at a multiple of it
    attacked_user_seconds: float = 5.0  # how long a login waits while its user is guessed at
    unlimited_networks: tuple[str, ...] = ()  # without limits of wrong logins and of connections


class Accounts(Directory, DomainRegister, RateCounts, Protocol):
    """The store of credentials, of sending domains, and of what is counted against limits."""


class Intake(Protocol):
    """Keeps mail."""

    def has_room(self) -> bool:
        """Whether there is room for another message on the disk of the database."""

    async def accept(self, submission: Submission) -> Acceptance:
        """Return when *submission* is committed; raises StoreFull or StoreUnavailable.

        Or when it is known that, by its terms, it is not accepted.
        Cancelled when the client is gone: then it may or may not have been committed.
        """

    async def accept_together(self, submissions: Sequence[Submission]) -> Sequence[Acceptance]:
        """As `accept`, of several: all are committed, or were before, or else none.

        None is when one is refused by its terms; then this is what became of each.
        """


@dataclass(frozen=True, slots=True)
class SessionContext:
    """The context of a session."""

    hostname: str
    limits: Limits
    intake: Intake
    authenticator: Authenticator
    domain_owners: DomainOwners
    connections: ConnectionLimiter
    memory: MemoryBudget
    clock: Callable[[], float]  # monotonic seconds
    rates: RateChecks
    new_id: Callable[[], UUID]
    note_alert: Callable[[UUID, Mapping[str, Any]], None]  # of a refused message, and its account
    tls: Certificate | None  # None: only listeners without TLS
    operator: OperatorRules
    facts: KnownFacts
    store_backoff: StoreBackoff = field(default_factory=StoreBackoff)
    header_thread: HeaderThread = field(default_factory=HeaderThread)
    traces: Traces | None = None  # None: nobody wants any

    @classmethod
    def new(
        cls,
        *,
        hostname: str,
        intake: Intake,
        directory: Accounts,
        keys: AuthKeys,
        tls: Certificate | None,
        new_id: Callable[[], UUID],
        clock: Callable[[], float],
        note_alert: Callable[[UUID, Mapping[str, Any]], None] = lambda *_: None,
        limits: Limits = Limits(),
        operator: OperatorRules = NO_RULES,
    ) -> "SessionContext":
        """The context of a service that starts; *keys* are those of secrets."""
        return cls(
            hostname=hostname,
            limits=limits,
            intake=intake,
            authenticator=_authenticator(directory, keys, clock, limits),
            domain_owners=DomainOwners(directory, clock, limits.directory_seconds),
            connections=_connections(limits, clock),
            memory=MemoryBudget(limits.octets_in_flight),
            clock=clock,
            rates=RateChecks(directory, clock, note_alert),
            new_id=new_id,
            note_alert=note_alert,
            tls=tls,
            operator=operator,
            facts=KnownFacts(limits.message_octets, limits.header_octets, operator),
        )


def _authenticator(
    directory: Directory, keys: AuthKeys, clock: Callable[[], float], limits: Limits
) -> Authenticator:
    return Authenticator(
        directory,
        keys,
        clock,
        limits.directory_seconds,
        attacked_seconds=limits.attacked_user_seconds,
        exempt=limits.unlimited_networks,
    )


def _connections(limits: Limits, clock: Callable[[], float]) -> ConnectionLimiter:
    counts = ConnectionLimits(
        limits.connections,
        limits.connections_per_address,
        limits.connections_per_credential,
        limits.connections_a_minute,
        limits.unlimited_networks,
    )
    return ConnectionLimiter(counts, clock)
