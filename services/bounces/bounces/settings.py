"""What the bounces service can be told."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from posthouse.running.common_settings import (
    Common,
    EndpointSetting,
    WithDatabase,
    WithSecretKey,
)
from posthouse.running.endpoint import Endpoint


class BouncesSettings(Common, WithDatabase, WithSecretKey):
    """Settings of the bounces service."""

    bounces_listen: EndpointSetting = Endpoint("127.0.0.1", 2526)
    """HOST:PORT that takes returned mail. The MX records of the return-path hosts lead here, so
    the world reaches it on port 25; port 0 takes any free one."""

    bounces_tls_certificate: Path | None = None
    """PEM file with certificate and chain: STARTTLS is offered to those who send returned mail."""

    bounces_tls_key: Path | None = None
    """PEM file with the certificate's key, if the certificate's own file does not hold it."""

    bounces_connections: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Most connections at one time; one more is answered 421."""
