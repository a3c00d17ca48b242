"""Looks at this machine: its clock, its limits, its disks, and the files that hold secrets."""

import ctypes
import os
import resource
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from posthouse.doctor.place_judges import CertificateFacts, DiskFacts, FileFacts, PlaceFacts

_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_OCTETS = 512  # more than struct timex has


def place_facts(
    *,
    secrets: Iterable[FileFacts] = (),
    certificates: Iterable[CertificateFacts] = (),
    disks: Iterable[Path] = (),
) -> PlaceFacts:
    """What is seen now; reads files, and waits for nothing else."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return PlaceFacts(
        now=datetime.now(UTC),
        open_files=None if hard == resource.RLIM_INFINITY else hard,
        synchronised=_is_synchronised(),
        files=tuple(secrets),
        certificates=tuple(certificates),
        disks=tuple(_disk(path) for path in disks if path.exists()),
    )


def file_facts(path: Path, *, needed: bool = True, folder: bool = False) -> FileFacts:
    """Whether it is there and ours to read, and who else may."""
    try:
        mode = path.stat().st_mode & 0o7777
        if not os.access(path, os.R_OK):
            return FileFacts(str(path), None, needed, "this user may not read it")
    except OSError as error:
        return FileFacts(str(path), None, needed, error.strerror or str(error))
    return FileFacts(str(path), mode, needed, folder=folder, alone=_in_container())


def certificate_facts(chain: Path, key: Path, hostname: str) -> CertificateFacts:
    """The first certificate of *chain*, and whether *key* belongs to it."""
    from cryptography import x509  # noqa: PLC0415 -- brings much, and most commands need none

    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(chain, key)
        found = x509.load_pem_x509_certificate(chain.read_bytes())
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        return CertificateFacts(str(chain), trouble=f"it cannot be used with {key}: {error}")
    try:
        named = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = tuple(name.lower() for name in named.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        names = ()
    return CertificateFacts(
        str(chain),
        names=names,
        not_before=found.not_valid_before_utc,
        not_after=found.not_valid_after_utc,
        self_signed=found.issuer == found.subject,
        hostname=hostname,
    )


def _in_container() -> bool:
    """Files of secrets are mounted for all to read there: by Kubernetes unless told otherwise."""
    marks = (Path("/.dockerenv"), Path("/run/.containerenv"))
    return "KUBERNETES_SERVICE_HOST" in os.environ or any(mark.exists() for mark in marks)


def _disk(path: Path) -> DiskFacts:
    found = os.statvfs(path)
    unit = found.f_frsize
    free, size = found.f_bavail * unit, found.f_blocks * unit
    return DiskFacts(str(path), free, size, found.f_favail, found.f_files)


def _is_synchronised() -> bool | None:
    """What the kernel says, which NTP programs tell; None where it does not say."""
    try:
        # With no mode set it changes nothing, and needs no right (adjtimex(2)).
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_OCTETS))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _TIME_ERROR
