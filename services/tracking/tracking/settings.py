"""Settings of the tracking service."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from posthouse.running.common_settings import (
    EndpointSetting,
    Networks,
    WithNameservers,
    WithSecretKey,
    WithTokens,
)
from posthouse.running.program import ProgramSettings
from posthouse.running.settings import Settings
from posthouse.running.tcp import Endpoint


class WithTracking(Settings):
    """Settings for what recipients do, in every form of deployment."""

    tracking_listen: EndpointSetting = Endpoint("127.0.0.1", 2581)
    """HOST:PORT that recipients' clients call for opens, clicks and unsubscribing. The tracking
    hosts lead here, so the world reaches it on port 443; port 0 takes any free one."""

    resubscribe_days: Annotated[int, Field(ge=0, le=365)] = 7
    """How many days after it unsubscribed a recipient may take that back on the same page, with 0
    never. That removes only what was listed through the same message."""

    tracking_proxies: Networks = ()
    """Networks of proxies before the tracking service, with commas between them: only these are
    believed what X-Forwarded-For says of a client's address."""

    tracking_https_listen: EndpointSetting | None = None
    """HOST:PORT that is called over HTTPS, with certificates of POSTHOUSE_TRACKING_CERTIFICATES.
    Default: none, for a proxy before POSTHOUSE_TRACKING_LISTEN that has them."""

    tracking_certificates: Path | None = None
    """Folder of PEM files, one for each tracking host and called NAME.pem, each with key,
    certificate and chain. A client gets the one for the name that it asks for. Files that come,
    change or go count within half a minute."""

    tracking_acme_webroot: Path | None = None
    """Folder in which an ACME client such as certbot or lego (its "webroot") leaves its answers to
    the certificate authority, in .well-known/acme-challenge; they are served at that path."""

    tracking_keep_client: bool = True
    """Whether opens and clicks keep the address of the client and what it calls itself. With false
    both are dropped when it has been judged whether it is a person or a machine."""


class TrackingSettings(ProgramSettings, WithTokens, WithSecretKey, WithNameservers, WithTracking):
    """Settings of the tracking service."""

    @model_validator(mode="after")
    def _has_certificates(self) -> Self:
        if self.tracking_https_listen is not None and self.tracking_certificates is None:
            raise ValueError(
                "HTTPS needs POSTHOUSE_TRACKING_CERTIFICATES, a folder of certificates"
            )
        return self
