"""The settings of ingest."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from ingest.listeners import LEAST_SECONDS, Listener, collisions
from posthouse.running.common_settings import (
    HostText,
    Networks,
    Separated,
    WithRelayDkimDomain,
    WithReturnPathHost,
    WithSecretKey,
)
from posthouse.running.program import ProgramSettings
from posthouse.smtp.mechanisms import MECHANISMS


def _listeners(given: object) -> object:
    if not isinstance(given, str):
        return given
    return tuple(Listener.parse(part) for part in given.split(",") if part.strip())


def _mechanisms(given: object) -> object:
    if not isinstance(given, str):
        return given
    names = tuple(given.upper().replace(",", " ").split())
    for name in names:
        if name not in MECHANISMS:
            raise ValueError(f"{name!r} is not one of: {', '.join(MECHANISMS)}")
    return names


class UnverifiedSenders(StrEnum):
    """Whether senders at domains that an account has not verified are taken."""

    ALLOWED = "allowed"  # where its profile allows them
    REFUSED = "refused"


class IngestSettings(ProgramSettings, WithSecretKey, WithRelayDkimDomain, WithReturnPathHost):
    """Settings of the ingest service."""

    ingest_listeners: Annotated[
        tuple[Listener, ...], BeforeValidator(_listeners), Field(min_length=1)
    ] = (
        Listener.parse("127.0.0.1:2525/none"),
        Listener.parse("127.0.0.1:2587/starttls_required"),
        Listener.parse("127.0.0.1:2465/implicit"),
        Listener.parse("127.0.0.1:2580/http"),
    )
    """Where clients connect, HOST:PORT/MODE with commas between them; a range of ports is
    HOST:1025-5000/MODE. Modes: none (in clear), opportunistic (STARTTLS if the client wants),
    starttls_required, implicit (TLS at once); and for the HTTP API http (on this machine, or from
    named proxies) and https. AUTH is offered in clear under the first two: keep those off the open
    network. Options follow the mode as `+NAME=VALUE`: `proxy` (a network whose
    proxies connect, with a header of the PROXY protocol, or X-Forwarded-For where HTTP is spoken;
    may be repeated), `line_endings` (`clean`
    or `refuse`), `idle_seconds` and `messages` (instead of POSTHOUSE_INGEST_IDLE_SECONDS and
    POSTHOUSE_INGEST_MESSAGES_PER_CONNECTION)."""

    ingest_tls_certificate: Annotated[tuple[Path, ...], Separated] = ()
    """PEM files with certificate and chain, with commas between them; read again when they change.
    A client gets the first one for the name that it asks for, else the first."""

    ingest_tls_key: Annotated[tuple[Path, ...], Separated] = ()
    """PEM files with the certificates' keys, in the same order, if the certificates' own files do
    not hold them."""

    ingest_auth_mechanisms: Annotated[
        tuple[str, ...], BeforeValidator(_mechanisms), Field(min_length=1)
    ] = ("PLAIN", "LOGIN", "SCRAM-SHA-256")
    """Mechanisms of AUTH that are offered, with commas between them: PLAIN, LOGIN, SCRAM-SHA-256,
    CRAM-MD5. The last works only for users whose secret is kept sealed (`posthouse credential
    create --sealed`); clients that prefer it do not try another for the others."""

    ingest_unlimited_networks: Networks = ()
    """Networks of clients, with commas between them, in which no wrong login counts, and whose
    addresses may have any number of connections: say of a proxy or a gateway behind which all your
    programs have one address. Default: none."""

    unverified_senders: UnverifiedSenders = UnverifiedSenders.ALLOWED
    """Senders at domains that an account has not verified: `allowed` where its profile allows them,
    or `refused` whatever the profile says. A domain that another account has verified is refused
    in any case."""

    ingest_message_octets: Annotated[int, Field(ge=1024)] = 26_214_400
    """Largest message that is taken, in octets; announced as SIZE."""

    ingest_resubmission_minutes: Annotated[int, Field(ge=1, le=1440)] = 60
    """How long a message counts as submitted again, where `posthouse credential set --resubmission`
    says so. An hour has the first retries of mail servers in it (Postfix after five minutes, Exim
    after fifteen)."""

    ingest_header_octets: Annotated[int, Field(ge=65_536, le=4_194_304)] = 1_048_576
    """Largest header that is taken, in octets. Beside To, Cc and Bcc it may have 64 KiB: more is
    needed only where a message names its recipients, of whom RCPT TO takes a thousand."""

    sandbox_domain: HostText | None = None
    """Domain that every account may send from before it has one of its own, a few
    messages in its life: they are kept for a week, to be read, and are not delivered. Default: no
    such domain."""

    ingest_most_days_ahead: Annotated[int, Field(ge=1, le=365)] = 30
    """How many days ahead a message may be scheduled, by HTTP or by its header."""

    ingest_connections: Annotated[int, Field(ge=1)] = 2_000
    """Most connections at one time, in each process."""

    ingest_connections_per_address: Annotated[int, Field(ge=1)] = 200
    """Most connections from one client address (one /64 network with IPv6), in each process."""

    ingest_connections_per_credential: Annotated[int, Field(ge=1)] = 500
    """Most connections on which one user is logged in, in each process."""

    ingest_connections_a_minute: Annotated[int | None, Field(ge=1)] = None
    """Most connections that may begin within a minute from one client address, in each process.
    Default: any number."""

    ingest_command_seconds: Annotated[float, Field(ge=LEAST_SECONDS, le=3_600)] = 300.0
    """How long a client may take for a command, and within a message for its next part."""

    ingest_idle_seconds: Annotated[float, Field(ge=LEAST_SECONDS, le=86_400)] = 300.0
    """How long a client that is logged in may begin no message."""

    ingest_data_seconds: Annotated[float, Field(ge=LEAST_SECONDS, le=86_400)] = 3_600.0
    """How long a client may take for all of a message."""

    ingest_octets_a_second: Annotated[int, Field(ge=1, le=1_000_000)] = 800
    """Least speed at which a client may send a message, over POSTHOUSE_INGEST_COMMAND_SECONDS."""

    ingest_messages_per_connection: Annotated[int | None, Field(ge=1)] = None
    """Most messages that a client may begin on one connection; the next one is answered `421`.
    Default: any number."""

    @model_validator(mode="after")
    def _a_key_for_each(self) -> Self:
        chains, keys = len(self.ingest_tls_certificate), len(self.ingest_tls_key)
        if keys not in (0, chains):
            raise ValueError(
                f"POSTHOUSE_INGEST_TLS_KEY has {keys} files, POSTHOUSE_INGEST_TLS_CERTIFICATE "
                f"{chains}: give one for each, or none if the certificates' files hold the keys"
            )
        return self

    @model_validator(mode="after")
    def _no_collision(self) -> Self:
        ours = {"POSTHOUSE_HEALTH_LISTEN": self.health_listen}
        if found := next(iter(collisions(self.ingest_listeners, ours)), None):
            raise ValueError(f"POSTHOUSE_INGEST_LISTENERS: {found}")
        return self
