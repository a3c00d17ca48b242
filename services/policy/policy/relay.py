"""What every message of this installation has in common, from its settings."""

from policy.core.identity import Identity
from policy.core.plan import Relay
from policy.settings import WithPolicy
from posthouse.mail.dkim_key import SigningKey, from_pem
from posthouse.mail.secret import Purpose, derive


def relay(settings: WithPolicy, hostname: str, secret_key: bytes) -> Relay:
    """The relay as `policy.core.plan` wants it. Raises BrokenKey."""
    domain = settings.relay_dkim_domain or hostname
    keys: tuple[SigningKey, ...] = ()
    if settings.relay_dkim_key is not None:
        algorithm, pkcs8 = from_pem(settings.relay_dkim_key.get_secret_value().encode())
        keys = (SigningKey.load(domain, settings.relay_dkim_selector, algorithm, pkcs8),)
    return Relay(
        hostname=hostname,
        identity=Identity(domain, settings.return_path_host or hostname, keys),
        return_path_key=derive(secret_key, Purpose.RETURN_PATHS),
    )
