"""TLS without a socket: what is sent at once, and what together."""

import ssl
from pathlib import Path

import pytest
import trustme

from ingest.tls_channel import TlsChannel
from posthouse.running.certificate import Certificate
from posthouse.running.certificate_expiry import CertificateUse

AUTHORITY = trustme.CA()
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def server(tmp_path: Path) -> ssl.SSLContext:
    chain = tmp_path / "chain.pem"
    chain.write_bytes(AUTHORITY.issue_cert("localhost").private_key_and_cert_chain_pem.bytes())
    return Certificate((chain, chain), use=CertificateUse.SUBMISSION).context


def client_context(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    context.minimum_version = context.maximum_version = version
    return context


class Client:
    """The other side."""

    def __init__(
        self, server: ssl.SSLContext, context: ssl.SSLContext, session: ssl.SSLSession | None = None
    ) -> None:
        self._written: list[bytes] = []
        self.channel = TlsChannel(server, "192.0.2.1", self._written.append)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self._in, self._out, server_hostname="localhost", session=session
        )

    def shakes_hands(self) -> None:
        """Until it is done, and has been heard."""
        for _ in range(3):
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.channel.receive(self._out.read())
                self._in.write(b"".join(self._heard()))
            else:
                self.channel.receive(self._out.read())
                self.heard_at_once = b"".join(self._heard())
                self._in.write(self.heard_at_once)
                return
        raise AssertionError("it waits for something")

    def _heard(self) -> list[bytes]:
        heard = self._written.copy()
        self._written.clear()
        return heard

    def reads_one_write(self) -> bytes:
        """The text in what was written since."""
        (octets,) = self._heard()
        self._in.write(octets)
        return self.tls.read(1_000)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_ticket_comes_at_once_and_its_bearer_comes_back_with_it(
    server: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    context = client_context(version)
    first = Client(server, context)
    first.shakes_hands()
    assert bool(first.heard_at_once) == (version is ssl.TLSVersion.TLSv1_3)
    first.channel.write(b"220 Hello\r\n")
    assert b"220 Hello\r\n" == first.reads_one_write()

    again = Client(server, context, first.tls.session)
    again.shakes_hands()
    again.channel.write(b"220 Hello\r\n")
    assert b"220 Hello\r\n" == again.reads_one_write()
    assert again.tls.session_reused


@pytest.mark.parametrize("version", VERSIONS)
def test_the_last_word_and_the_goodbye_leave_together(
    server: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    client = Client(server, client_context(version))
    client.shakes_hands()
    client.channel.end(b"221 Bye\r\n")
    client.channel.end(b"once more")
    assert b"221 Bye\r\n" == client.reads_one_write()
    assert b"" == client.tls.read(1)  # it has been told that no more comes
