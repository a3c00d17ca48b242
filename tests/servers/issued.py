"""Certificates as an authority issues them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def issue(folder: Path, hostname: str, *, days: float = 90) -> tuple[Path, Path]:
    """Write a certificate for *hostname* that is valid for *days*, and its key: both files."""
    key, authority = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    now = datetime.now(UTC)
    end = now + timedelta(days=days)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority")]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, end) - timedelta(days=1))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(hostname)]), critical=False)
        .sign(authority, SHA256())
    )
    chain, secret = folder / "issued.crt", folder / "issued.key"
    chain.write_bytes(certificate.public_bytes(Encoding.PEM))
    secret.touch(mode=0o600)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    secret.write_bytes(pem)
    return chain, secret
