"""The only place of the bounces service that names concrete things."""

from datetime import UTC, datetime

from bounces.listener import ReturnListener
from bounces.service import Bounces
from bounces.settings import BouncesSettings
from posthouse.mail.secret import Purpose, derive
from posthouse.running.certificate import Certificate
from posthouse.running.program import Backing, Wired
from posthouse.store.returns import ReturnStore


def wire(settings: BouncesSettings, behind: Backing) -> Wired:
    """The listener for returned mail."""
    key = derive(settings.secret_key.get_secret_value(), Purpose.RETURN_PATHS)
    bounces = Bounces(ReturnStore(behind.database), (key,), lambda: datetime.now(UTC).date())
    certificate = Certificate.told(settings.bounces_tls_certificate, settings.bounces_tls_key)
    listener = ReturnListener(
        bounces,
        settings.bounces_listen,
        hostname=settings.hostname,
        tls=certificate.context if certificate else None,
        connections=settings.bounces_connections,
    )
    return Wired(
        services={
            "bounces": listener,
            **({"bounces-certificate": certificate} if certificate else {}),
        },
        checks={"bounces": listener.check},
    )
