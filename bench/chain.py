"""The certificate that systems are measured with: as `posthouse up` makes it, ECDSA P-256."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from onebox.self_signed import self_signed
from posthouse.running.certificate import Certificate
from posthouse.running.certificate_expiry import CertificateUse


def write_chain(folder: Path) -> Path:
    """A new key and its certificate, in this order (Postfix wants it), in one file in *folder*."""
    path = folder / "tls.pem"
    path.write_bytes(b"".join(reversed(self_signed("localhost", datetime.now(UTC)))))
    return path


def certificate() -> Certificate:
    """A new one, of which no file is left."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_chain(Path(folder))
        return Certificate((path, path), use=CertificateUse.SUBMISSION)
