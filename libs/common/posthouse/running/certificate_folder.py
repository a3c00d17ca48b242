"""Certificates of many hosts, a file for each in one folder, by the name a client asks for."""

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import structlog

from posthouse.running.certificate import (
    HTTP_PROTOCOL,
    CannotUseCertificate,
    expiry_of,
    loaded_chain,
    names_in,
    server_context,
)
from posthouse.running.certificate_expiry import CertificateUse, show_expiry
from posthouse.running.waiting import wait_for_event

log = structlog.get_logger()

_POLL_SECONDS = 30.0


class _HostChain(NamedTuple):
    """What one file holds, and when it was written."""

    stamp: int
    names: Sequence[str]
    context: ssl.SSLContext | None = None  # None: it cannot be used
    expires: datetime | None = None


class CertificateFolder:
    """Each `NAME.pem` holds a key, a certificate and its chain; the names are in the certificate.

    `https` is for HTTP/1.1. A client that asks for a name that no file is for, or for none, is
    refused (RFC 6066 section 3): with the certificate of another host it would refuse us. A file
    that comes, changes or goes counts within half a minute; one that cannot be used stops no other,
    and what it held before goes on.
    """

    def __init__(self, folder: Path) -> None:
        """An empty folder, or none yet, is no failure: an ACME client may fill it later."""
        self._folder = folder
        self._files: dict[Path, _HostChain] = {}
        self._by_name: dict[str, ssl.SSLContext] = {}
        self.https = server_context(HTTP_PROTOCOL)
        self.https.sni_callback = self._choose
        self.read()

    async def run(self, stopping: asyncio.Event, poll_seconds: float = _POLL_SECONDS) -> None:
        """Look for changes until *stopping*."""
        while not await wait_for_event(stopping, poll_seconds):
            self.read()

    def read(self) -> None:
        """Look at the folder now."""
        files = {path: self._chain(path, stamp) for path, stamp in self._stamps()}
        if files == self._files:
            return
        self._files = files
        self._by_name = {
            name: chain.context
            for chain in reversed(files.values())  # the first one in order of names counts
            for name in chain.names
            if chain.context is not None
        }
        expiries = [chain.expires for chain in files.values() if chain.expires is not None]
        show_expiry(CertificateUse.TRACKING, expiries)
        log.info("certificates_read", folder=str(self._folder), hosts=sorted(self._by_name))

    def _stamps(self) -> Iterator[tuple[Path, int]]:
        try:
            for path in sorted(self._folder.glob("*.pem")):
                yield path, path.stat().st_mtime_ns
        except OSError as error:
            log.warning("certificates_not_read", folder=str(self._folder), reason=str(error))

    def _chain(self, path: Path, stamp: int) -> _HostChain:
        before = self._files.get(path)
        if before is not None and before.stamp == stamp:
            return before
        try:
            context = loaded_chain(path, path, HTTP_PROTOCOL)
            return _HostChain(stamp, names_in(path), context, expiry_of(path))
        except CannotUseCertificate as error:
            log.warning("certificate_not_used", path=str(path), reason=str(error))
            return before._replace(stamp=stamp) if before else _HostChain(stamp, ())

    def _choose(self, tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        """Give *tls* its certificate; asked at each handshake, without a name too."""
        name = (name or "").lower().rstrip(".")
        found = self._by_name.get(name) or self._by_name.get("*." + name.partition(".")[2])
        if found is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        tls.context = found
        return None
