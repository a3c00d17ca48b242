"""The certificate that returned mail may be encrypted with."""

import ssl

from bounces.settings import WithBounces
from posthouse.running.health import CannotListen


def context(settings: WithBounces) -> ssl.SSLContext | None:
    """What STARTTLS is offered with; None without a certificate. Raises CannotListen."""
    certificate, key = settings.bounces_tls_certificate, settings.bounces_tls_key
    if certificate is None:
        return None
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        tls.load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one
        text = f"cannot offer TLS with {certificate} and its key {key or 'in it'}: {error}"
        raise CannotListen(text) from error
    return tls
