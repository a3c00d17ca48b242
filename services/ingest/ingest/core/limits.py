"""How much a client may ask of the door."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Octets, seconds and counts; where RFC 5321 section 4.5.3 has a value, it is the default."""

    message_octets: int = 26_214_400  # advertised as SIZE
    header_octets: int = 65_536  # what we are ready to parse
    octets_in_flight: int = 134_217_728  # of all messages being received at one time
    recipients: int = 1_000
    command_seconds: float = 300.0  # at least 60 (RULES T04)
    # A slow disk has this long to commit: who is told 451 before sends again what is kept after
    # all (RFC 1047), and a client waits ten minutes. Longer than any statement may take.
    accept_seconds: float = 12.0
    directory_seconds: float = 3.0
    connections: int = 2_000
    connections_per_address: int = 200
    protocol_errors: int = 20
    idle_commands: int = 100  # NOOP, RSET, VRFY... between two messages
    login_failures: int = 3  # in one connection
    login_failure_seconds: float = 0.5  # how long a wrong secret waits for its answer
