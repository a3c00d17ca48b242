"""A certificate for a relay that was given none, so that TLS works from the first minute."""

import ipaddress
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALID = timedelta(days=3650)
_CLOCKS_DIFFER = timedelta(days=1)
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_LONGEST_COMMON_NAME = 64  # RFC 5280, ub-common-name


def self_signed(hostname: str, now: datetime) -> tuple[bytes, bytes]:
    """Certificate and private key (ECDSA P-256) for *hostname*, in PEM, valid for ten years.

    It also names this machine as its own programs do.
    """
    key = generate_private_key(SECP256R1())
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, hostname[:_LONGEST_COMMON_NAME] or "posthouse")]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectAlternativeName(_subjects(hostname)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, SHA256())
    )
    return (
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def _subjects(hostname: str) -> list[x509.GeneralName]:
    return [_subject(name) for name in dict.fromkeys((hostname, *_THIS_MACHINE))]


def _subject(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
