"""Where clients connect, and what TLS means there (RULES X01, X02)."""

from dataclasses import dataclass
from enum import StrEnum

from posthouse.running.endpoint import Endpoint


class TlsMode(StrEnum):
    """What a listener does about encryption."""

    NONE = "none"  # in clear, AUTH included: for a private network
    OPPORTUNISTIC = "opportunistic"  # STARTTLS offered, AUTH also without it
    STARTTLS_REQUIRED = "starttls_required"  # nothing but STARTTLS before TLS
    IMPLICIT = "implicit"  # TLS from the first octet (RFC 8314)

    @property
    def needs_certificate(self) -> bool:
        """Whether a client may ask for TLS."""
        return self is not TlsMode.NONE


@dataclass(frozen=True, slots=True)
class Listener:
    """An address and port, and the TLS mode of its sessions."""

    endpoint: Endpoint
    tls: TlsMode

    @classmethod
    def parse(cls, text: str) -> "Listener":
        """Read "127.0.0.1:2587/starttls_required"; ValueError says what was seen."""
        endpoint, slash, mode = text.strip().partition("/")
        modes = {str(mode): mode for mode in TlsMode}
        if not slash or mode not in modes:
            known = ", ".join(modes)
            raise ValueError(f"{text!r} is not HOST:PORT/MODE with one of these modes: {known}")
        return cls(Endpoint.parse(endpoint), modes[mode])

    def __str__(self) -> str:
        return f"{self.endpoint}/{self.tls}"
