"""The settings of ingest."""

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from ingest.listeners import Listener
from posthouse.running.common_settings import WithSecretKey
from posthouse.running.program import ProgramSettings


def _listeners(given: object) -> object:
    if not isinstance(given, str):
        return given
    return tuple(Listener.parse(part) for part in given.split(",") if part.strip())


class IngestSettings(ProgramSettings, WithSecretKey):
    """Settings of the ingest service."""

    ingest_listeners: Annotated[
        tuple[Listener, ...], BeforeValidator(_listeners), Field(min_length=1)
    ] = (
        Listener.parse("127.0.0.1:2525/opportunistic"),
        Listener.parse("127.0.0.1:2587/starttls_required"),
        Listener.parse("127.0.0.1:2465/implicit"),
    )
    """Where clients connect, HOST:PORT/MODE with commas between them. Modes: none (in clear),
    opportunistic (STARTTLS if the client wants), starttls_required, implicit (TLS at once). AUTH
    is offered in clear under the first two: keep those off the open network."""

    ingest_tls_certificate: Path | None = None
    """PEM file with certificate and chain; read again when it changes."""

    ingest_tls_key: Path | None = None
    """PEM file with the certificate's key, if the certificate's own file does not hold it."""

    ingest_message_octets: Annotated[int, Field(ge=1024)] = 26_214_400
    """Largest message that is taken, in octets; announced as SIZE."""

    ingest_connections: Annotated[int, Field(ge=1)] = 2_000
    """Most connections at one time."""

    ingest_connections_per_address: Annotated[int, Field(ge=1)] = 200
    """Most connections from one client address (one /64 network with IPv6)."""
