"""The certificate that TLS uses, read again when its files change."""

import asyncio
import ssl
from pathlib import Path
from typing import Self

import structlog

from posthouse.running.health import CannotListen
from posthouse.running.waiting import wait_for_event

log = structlog.get_logger()

_POLL_SECONDS = 30.0


class CannotUseCertificate(CannotListen):
    """The certificate or its key cannot be read, or they do not belong together."""


class Certificate:
    """A certificate chain and its key, in one context for every session.

    Sessions that begin after a change get the new certificate. Polling, because a notification
    does not survive the symbolic links that Kubernetes swaps.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        """Raises CannotUseCertificate."""
        self._chain = chain
        self._key = key
        self._seen = self._stamps()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
        self._load(self.context)

    @classmethod
    def told(cls, chain: Path | None, key: Path | None) -> Self | None:
        """As settings give it: *key* may be in the file of the *chain*. Raises likewise."""
        return None if chain is None else cls(chain, key or chain)

    async def run(self, stopping: asyncio.Event, poll_seconds: float = _POLL_SECONDS) -> None:
        """Look for changes until *stopping*; a file that cannot be used changes nothing."""
        while not await wait_for_event(stopping, poll_seconds):
            self._reload()

    def _reload(self) -> None:
        try:
            stamps = self._stamps()
            if stamps == self._seen:
                return
            self._seen = stamps
            # Tried in another context first: half of a change must not break the context in use.
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            self._load(self.context)
        except CannotUseCertificate as error:
            log.warning("certificate_not_reloaded", reason=str(error))
        else:
            log.info("certificate_reloaded", path=str(self._chain))

    def _stamps(self) -> tuple[int, int]:
        try:
            return self._chain.stat().st_mtime_ns, self._key.stat().st_mtime_ns
        except OSError as error:
            raise CannotUseCertificate(f"{error.filename}: {error.strerror}") from error

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self._chain, self._key)
        except (OSError, ssl.SSLError) as error:
            text = f"{self._chain} with the key {self._key}: {error}"
            raise CannotUseCertificate(text) from error
