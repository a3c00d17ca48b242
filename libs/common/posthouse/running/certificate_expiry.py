"""When the certificates of this process expire."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from prometheus_client import Gauge

EXPIRY = Gauge(
    "posthouse_certificate_expiry_timestamp_seconds",
    "When the first of the certificates in use expires, in seconds since 1970.",
    ["use"],
)


class CertificateUse(StrEnum):
    """What a certificate is shown for."""

    SUBMISSION = "submission"  # SMTP and HTTP of clients
    BOUNCES = "bounces"
    TRACKING = "tracking"
    CONSOLE = "console"


def show_expiry(use: CertificateUse, expiries: Iterable[datetime]) -> None:
    """Show the earliest of *expiries*; nothing is shown where there are none."""
    if (earliest := min(expiries, default=None)) is not None:
        EXPIRY.labels(use).set(earliest.timestamp())
