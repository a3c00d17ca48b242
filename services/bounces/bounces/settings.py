"""What the bounces service can be told."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from posthouse.running.common_settings import EndpointSetting, WithSecretKey
from posthouse.running.endpoint import Endpoint
from posthouse.running.program import ProgramSettings
from posthouse.running.settings import Settings


class WithBounces(Settings):
    """What taking returned mail needs to know, in any size of installation."""

    bounces_listen: EndpointSetting = Endpoint("127.0.0.1", 2526)
    """HOST:PORT that takes returned mail. The MX records of the return-path hosts lead here, so
    the world reaches it on port 25; port 0 takes any free one."""

    bounces_tls_certificate: Path | None = None
    """PEM file with certificate and chain: STARTTLS is offered to those who send returned mail."""

    bounces_tls_key: Path | None = None
    """PEM file with the certificate's key. Default: it is in the certificate's own file."""

    bounces_connections: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Most connections for returned mail at one time; one more is answered 421."""

    @model_validator(mode="after")
    def _a_key_has_a_certificate(self) -> Self:
        if self.bounces_tls_key is not None and self.bounces_tls_certificate is None:
            raise ValueError(
                "POSTHOUSE_BOUNCES_TLS_KEY is set without POSTHOUSE_BOUNCES_TLS_CERTIFICATE"
            )
        return self


class BouncesSettings(ProgramSettings, WithSecretKey, WithBounces):
    """Settings of the bounces service."""
