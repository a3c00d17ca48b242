"""The certificates that TLS uses: which one by the name a client asks for; read again on change."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Self

import structlog

from posthouse.running.certificate_expiry import CertificateUse, show_expiry
from posthouse.running.http_server import CannotListen
from posthouse.running.waiting import wait_for_event

log = structlog.get_logger()

_POLL_SECONDS = 30.0
HTTP_PROTOCOL = "http/1.1"


class CannotUseCertificate(CannotListen):
    """A certificate or its key cannot be read, or they do not belong together."""


class NamedServer(ssl.SSLObject):
    """TLS of a connection that remembers which name the client asked for."""

    asked_for = ""


class Certificate:
    """Certificate chains and their keys, behind one context for every session of a protocol.

    `context` is for SMTP, `https` for HTTP/1.1, which it names by ALPN.
    A client gets the first chain that names what it asks for (SNI, RFC 6066 section 3), exactly
    or by a wildcard, else the first one. Sessions that begin after a change get the new
    certificate. Polling, because a notification does not survive the symbolic links that
    Kubernetes swaps.
    """

    def __init__(self, *pairs: tuple[Path, Path], use: CertificateUse) -> None:
        """*pairs*: files of chain and key, at least one. Raises CannotUseCertificate."""
        self._pairs = pairs
        self._use = use
        self._seen = self._stamps()
        # By the protocol that is spoken over TLS (RFC 7301); "" for none that has a name.
        self._chains = {protocol: self._load(protocol) for protocol in ("", HTTP_PROTOCOL)}
        self._show_expiry()
        self.context, self.https = map(self._choosing, self._chains)

    def _choosing(self, protocol: str) -> ssl.SSLContext:
        context = server_context(protocol)
        context.sslobject_class = NamedServer
        context.sni_callback = partial(self._choose, protocol)
        return context

    @classmethod
    def told(cls, chains: Sequence[Path], keys: Sequence[Path], use: CertificateUse) -> Self | None:
        """As settings give it: without *keys* they are in the files of the *chains*.

        None where there are no *chains*. Raises likewise.
        """
        return cls(*zip_longest(chains, keys or chains), use=use) if chains else None

    async def run(self, stopping: asyncio.Event, poll_seconds: float = _POLL_SECONDS) -> None:
        """Look for changes until *stopping*; a file that cannot be used changes nothing."""
        while not await wait_for_event(stopping, poll_seconds):
            self._reload()

    def _choose(
        self, protocol: str, tls: ssl.SSLObject, name: str | None, _: ssl.SSLContext
    ) -> None:
        """Give *tls* its certificate; asked at each handshake, without a name too."""
        name = (name or "").lower().rstrip(".")
        wildcard = "*." + name.partition(".")[2]
        default, by_name = self._chains[protocol]
        tls.context = by_name.get(name) or by_name.get(wildcard) or default
        if isinstance(tls, NamedServer):
            tls.asked_for = name

    def _reload(self) -> None:
        try:
            stamps = self._stamps()
            if stamps == self._seen:
                return
            self._seen = stamps
            self._chains = {protocol: self._load(protocol) for protocol in self._chains}
            self._show_expiry()
        except CannotUseCertificate as error:
            log.warning("certificate_not_reloaded", reason=str(error))
        else:
            log.info("certificate_reloaded", paths=[str(chain) for chain, _ in self._pairs])

    def _show_expiry(self) -> None:
        show_expiry(self._use, [expiry_of(chain) for chain, _ in self._pairs])

    def _stamps(self) -> Sequence[int]:
        try:
            return [path.stat().st_mtime_ns for pair in self._pairs for path in pair]
        except OSError as error:
            raise CannotUseCertificate(f"{error.filename}: {error.strerror}") from error

    def _load(self, protocol: str) -> tuple[ssl.SSLContext, Mapping[str, ssl.SSLContext]]:
        contexts = [loaded_chain(chain, key, protocol) for chain, key in self._pairs]
        by_name: dict[str, ssl.SSLContext] = {}
        if len(contexts) > 1:  # else it makes no difference
            for (chain, _), context in zip(self._pairs, contexts, strict=True):
                for name in names_in(chain):
                    by_name.setdefault(name, context)
        return contexts[0], by_name


def server_context(protocol: str) -> ssl.SSLContext:
    """TLS of a server without a certificate yet; *protocol* as ALPN has it, "" for none."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
    context.num_tickets = 1  # each costs as much as half of what it saves who comes back with it
    if protocol:
        context.set_alpn_protocols([protocol])
    return context


def loaded_chain(chain: Path, key: Path, protocol: str) -> ssl.SSLContext:
    """TLS of a server with that certificate. Raises CannotUseCertificate."""
    context = server_context(protocol)
    try:
        context.load_cert_chain(chain, key)
    except (OSError, ssl.SSLError) as error:
        raise CannotUseCertificate(f"{chain} with the key {key}: {error}") from error
    return context


def names_in(chain: Path) -> Sequence[str]:
    """The DNS names of the first certificate in *chain*, in lower case.

    Raises CannotUseCertificate.
    """
    from cryptography import x509  # noqa: PLC0415 -- most have one certificate, which has no choice

    try:
        certificate = x509.load_pem_x509_certificate(chain.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound) as error:
        raise CannotUseCertificate(f"{chain}: no names in it: {error}") from error
    return [name.lower() for name in names.get_values_for_type(x509.DNSName)]


def expiry_of(chain: Path) -> datetime:
    """When the first of the certificates in *chain* expires. Raises CannotUseCertificate."""
    from cryptography import x509  # noqa: PLC0415 -- many programs have no certificate

    try:
        certificates = x509.load_pem_x509_certificates(chain.read_bytes())
    except (OSError, ValueError) as error:
        raise CannotUseCertificate(f"{chain}: no certificate in it: {error}") from error
    return min(certificate.not_valid_after_utc for certificate in certificates)
