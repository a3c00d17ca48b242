"""Settings of the console service."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from posthouse.running.common_settings import (
    EndpointSetting,
    HostText,
    Networks,
    Separated,
    WithSecretKey,
    WithWebhookUrls,
)
from posthouse.running.program import ProgramSettings
from posthouse.running.tcp import Endpoint


class WithConsole(WithWebhookUrls):
    """Settings for what customers ask, in every form of deployment."""

    console_listen: EndpointSetting = Endpoint("127.0.0.1", 2582)
    """HOST:PORT of the API that says what became of mail; port 0 takes any free one."""

    console_tls_certificate: Annotated[tuple[Path, ...], Separated] = ()
    """PEM files with certificate and chain, with commas between them; read again when they change.
    Default: the API speaks HTTP without TLS, for a proxy before it or clients on this machine."""

    console_tls_key: Annotated[tuple[Path, ...], Separated] = ()
    """PEM files with the certificates' keys, in the same order, if the certificates' own files do
    not hold them."""

    console_proxies: Networks = ()
    """Networks of proxies, with commas between them, whose X-Forwarded-For and X-Forwarded-Proto
    say who calls. Default: none."""

    console_smtp_host: HostText | None = None
    """Host that customers are told for SMTP. Default: the name that this relay gives itself."""

    console_smtp_ports: Annotated[tuple[str, ...], Separated] = ("587/starttls", "465/tls")
    """Ports that customers are told for SMTP, with commas between them."""

    console_requests_at_once: Annotated[int, Field(ge=1, le=1_000)] = 8
    """Most requests of one key that are answered at one time, in each process. One that follows
    events is one of them for as long as it lasts."""

    console_requests_a_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 600
    """Most requests of one key within a minute, in each process; as many may come at once."""


class ConsoleSettings(ProgramSettings, WithSecretKey, WithConsole):
    """Settings of the console service."""
