"""TLS of one connection, of SMTP or HTTP, on the server's side; and why it fails.

The transports of asyncio and uvloop speak TLS too. But when a handshake fails they close without
the alert that tells the client why (RFC 8446 section 6.2), a client that changes its key all the
time holds up all others, and with asyncio's one that is idle keeps a quarter of a megabyte.
"""

import ssl
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum

import structlog
from prometheus_client import Counter

from posthouse.running.certificate import NamedServer

log = structlog.get_logger()

FAILURES = Counter(
    "posthouse_tls_inbound_failures", "Handshakes of clients that failed, by reason", ["reason"]
)

_RECORD_OCTETS = 16_384  # of text in a record at most (RFC 8446 section 5.1)
_HEAD_OCTETS = 5  # of a record: its type, version and length
_TYPES = range(20, 25)
_MAJOR = 3  # of every version
_MOST_OCTETS = _HEAD_OCTETS + _RECORD_OCTETS + 2_048  # of a record (RFC 5246 section 6.2.3)
# Records of a client that say nothing, such as those that change its key, which cost us 50 us each
# and it 27 octets: a flood of them would hold up all others. A client sends one in a terabyte.
_MOST_SILENT = 32


class TlsFailure(StrEnum):
    """Why there is no TLS."""

    NOT_TLS = "not_tls"  # the client said something else
    VERSION = "version"  # there is none that both speak
    CIPHER = "cipher"  # likewise
    CERTIFICATE = "certificate"  # the client does not accept ours
    ALERT = "alert"  # the client ended it for another reason
    PROTOCOL = "protocol"  # anything else that is wrong
    TIMEOUT = "timeout"
    CLOSED = "closed"  # by the client, in the midst of it


# What OpenSSL calls it, in parts; the first that fits.
_NAMES = (
    (TlsFailure.NOT_TLS, ("HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "WRONG_VERSION_NUMBER")),
    (TlsFailure.VERSION, ("PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW")),
    (TlsFailure.CIPHER, ("NO_SHARED", "NO_SUITABLE", "ALERT_HANDSHAKE_FAILURE")),
    (TlsFailure.CERTIFICATE, ("ALERT_UNKNOWN_CA", "_CERTIFICATE")),
    (TlsFailure.ALERT, ("_ALERT_",)),
)


class TlsChannel:
    """TLS with one client: octets in, text out; what is said to the client is sent."""

    def __init__(
        self, context: ssl.SSLContext, client: str, write: Callable[[bytes], object]
    ) -> None:
        """*client*: its address; *write* sends octets to it."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._client = client
        self._write = write
        self.is_open = False  # the handshake is done
        self.has_ended = False  # the client sends no more, or nothing that can be read
        self._has_begun = False  # the client has sent something
        self._is_mute = False  # we say no more
        self._begun = b""  # a record that has not come whole
        self._silent = 0  # records without text, after the handshake

    def receive(self, received: bytes) -> bytes:
        """What the client says by *received*; why a handshake fails is told, also to the client."""
        self._has_begun = True
        text = b""
        try:
            text = self._decrypt(received)
        except ssl.SSLError as error:
            if not self.is_open:
                self._tell_failure(error)
            self._is_mute = self.has_ended = True
        # Tickets too, which could wait: a client that speaks next, and whose system first waits for
        # our acknowledgement of what it said (Nagle), would get it 40 ms later.
        self._flush()
        return text

    def _decrypt(self, received: bytes) -> bytes:
        pieces: list[bytes] = []
        octets, at = self._begun + received, 0
        try:
            while size := _record_size(octets, at):
                self._take(octets[at : at + size], pieces)
                at += size
        except ssl.SSLZeroReturnError:
            self.has_ended = True
        self._begun = octets[at:]
        return b"".join(pieces)

    def _take(self, record: bytes, pieces: list[bytes]) -> None:
        """Read *record*, which is whole; text becomes one of *pieces*."""
        was_open, before = self.is_open, len(pieces)
        self._incoming.write(record)
        with suppress(ssl.SSLWantReadError):
            self._read(pieces)
        if was_open and len(pieces) == before:
            self._silent += 1
            if self._silent > _MOST_SILENT:
                raise ssl.SSLError(f"over {_MOST_SILENT} records without text")

    def _read(self, pieces: list[bytes]) -> None:
        if not self.is_open:
            self._tls.do_handshake()
            self.is_open = True
        while self._incoming.pending:
            piece = self._tls.read(_RECORD_OCTETS)
            if not piece:
                raise ssl.SSLZeroReturnError
            pieces.append(piece)

    def write(self, text: bytes) -> None:
        """Say *text*; nothing is said before the handshake, or after a failure or `end`."""
        if self.is_open and not self._is_mute:
            self._tls.write(text)
            self._flush()

    def end(self, last: bytes = b"") -> None:
        """Say *last*, and together with it that no more comes (RFC 8446 section 6.1)."""
        if not self._is_mute:
            self._is_mute = True
            with suppress(ssl.SSLError):  # above all: the client's own goodbye has not come yet
                if last and self.is_open:
                    self._tls.write(last)
                self._tls.unwrap()
            self._flush()

    def _flush(self) -> None:
        """Send what was said, and handshake and alerts beside it."""
        if output := self._outgoing.read():
            self._write(output)

    def note_end(self) -> None:
        """The client sends no more, or is gone."""
        if self._has_begun and not (self.is_open or self.has_ended):
            self._tell_failure(TlsFailure.CLOSED)
        self.has_ended = True

    def give_up(self) -> None:
        """The handshake has taken too long."""
        if not self.has_ended:
            self._tell_failure(TlsFailure.TIMEOUT)
        self._is_mute = self.has_ended = True

    @property
    def version_and_cipher(self) -> str:
        """As a Received field names it."""
        cipher = self._tls.cipher()
        return f"{self._tls.version()} {cipher[0] if cipher else ''}"

    def _tell_failure(self, why: ssl.SSLError | TlsFailure) -> None:
        """Log and count that the handshake failed."""
        if isinstance(why, TlsFailure):
            failure, reason = why, str(why)
        else:
            name = why.reason or ""
            failure = _failure(name)
            reason = name.replace("_", " ").lower() or type(why).__name__
        FAILURES.labels(failure).inc()
        sni = self._tls.asked_for if isinstance(self._tls, NamedServer) else ""
        shown = sni if sni.isprintable() else ascii(sni)
        log.info("tls_failed", client=self._client, sni=shown, failure=str(failure), reason=reason)


def _record_size(octets: bytes, at: int) -> int:
    """Octets of the record that begins *at* there; 0 if it is not complete.

    What is no record is all that has come.
    """
    come = len(octets) - at
    if come < _HEAD_OCTETS:
        return 0
    size = _HEAD_OCTETS + (octets[at + 3] << 8 | octets[at + 4])
    if octets[at] not in _TYPES or octets[at + 1] != _MAJOR or size > _MOST_OCTETS:
        return come
    return size if size <= come else 0


def _failure(name: str) -> TlsFailure:
    for failure, parts in _NAMES:
        if any(part in name for part in parts):
            return failure
    return TlsFailure.PROTOCOL
