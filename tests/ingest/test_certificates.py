"""Certificates: chosen by the name that a client asks for, and read again when they change."""

import asyncio
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from prometheus_client import REGISTRY

from ingest.settings import IngestSettings
from ingest.tls_channel import TlsChannel
from posthouse.running.certificate import CannotUseCertificate, Certificate
from posthouse.running.certificate_expiry import CertificateUse
from posthouse.running.settings import SettingsError, load
from servers.door import PLAIN, QUICK, Wire, running_door
from servers.door import write_certificate as write
from servers.patience import until

NEXT_WEEK = datetime.now(UTC).replace(microsecond=0) + timedelta(days=7)

GIVEN = {
    "POSTHOUSE_DATABASE_URL": "postgresql://x/y",
    "POSTHOUSE_BROKER_URL": "amqp://x/",
    "POSTHOUSE_SECRET_KEY": "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldA==",
}


def greeted(
    server_tls: ssl.SSLContext,
    authority: trustme.CA,
    name: str | None,
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> ssl.SSLObject:
    """A client that has asked for *name*, trusts what it got, and speaks HTTP of two versions."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.configure_trust(context)
    theirs, ours = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(theirs, ours, server_hostname=name)
    server = TlsChannel(server_tls, "", theirs.write)
    for _ in range(3):
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
        server.receive(ours.read())
    return client


def names_shown(
    certificate: Certificate,
    authority: trustme.CA,
    name: str | None,
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
) -> set[str]:
    """The names in the certificate that a client of SMTP, and of HTTPS, gets for *name*."""
    by_smtp, by_https = (
        greeted(context, authority, name, version).getpeercert()
        for context in (certificate.context, certificate.https)
    )
    assert by_smtp is not None
    assert by_smtp == by_https
    return {str(entry[1]) for entry in by_smtp["subjectAltName"]}


def folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


@pytest.fixture
def several(authority: trustme.CA, tmp_path: Path) -> Certificate:
    """Three: for a.example, for b.example and what is under it, and again for both."""
    pairs = []
    for number, names in enumerate(
        [("a.example",), ("b.example", "*.b.example"), ("a.example", "b.example", "c.example")]
    ):
        place = folder(tmp_path, str(number))
        write(authority, place, *names)
        pairs.append((place / "chain.pem", place / "key.pem"))
    return Certificate(*pairs, use=CertificateUse.SUBMISSION)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("a.example", {"a.example"}),
        ("b.example", {"b.example", "*.b.example"}),
        ("B.Example", {"b.example", "*.b.example"}),
        ("x.b.example", {"b.example", "*.b.example"}),
        ("y.x.b.example", {"a.example"}),
        ("c.example", {"a.example", "b.example", "c.example"}),
        ("elsewhere.example", {"a.example"}),
        (None, {"a.example"}),
    ],
)
def test_X02_a_client_gets_the_first_certificate_for_the_name_it_asks_for(
    several: Certificate,
    authority: trustme.CA,
    asked: str | None,
    shown: set[str],
    version: ssl.TLSVersion,
) -> None:
    assert names_shown(several, authority, asked, version) == shown


@pytest.mark.parametrize("asked", ["b.example", None])
def test_https_alone_names_its_protocol(
    several: Certificate, authority: trustme.CA, asked: str | None
) -> None:
    """A browser that was led to a port of SMTP can tell (RFC 7301)."""
    assert greeted(several.https, authority, asked).selected_alpn_protocol() == "http/1.1"
    assert greeted(several.context, authority, asked).selected_alpn_protocol() is None


def shown_expiry() -> float:
    name = "posthouse_certificate_expiry_timestamp_seconds"
    return REGISTRY.get_sample_value(name, {"use": "submission"}) or 0.0


async def test_a_change_is_used_without_a_restart_and_half_of_one_is_not(
    authority: trustme.CA, tmp_path: Path
) -> None:
    first, second = folder(tmp_path, "1"), folder(tmp_path, "2")
    for place, name in ((first, "a.example"), (second, "b.example")):
        write(authority, place, name)
    pairs = [(place / "chain.pem", place / "key.pem") for place in (first, second)]
    certificate = Certificate(*pairs, use=CertificateUse.SUBMISSION)
    shown_at_first = shown_expiry()
    watching = asyncio.create_task(certificate.run(asyncio.Event(), poll_seconds=0.01))

    async def seen() -> None:
        now = certificate._stamps()
        await until(lambda: certificate._seen == now)

    write(authority, second, "c.example", not_after=NEXT_WEEK)
    await seen()
    assert NEXT_WEEK.timestamp() == shown_expiry() < shown_at_first
    assert names_shown(certificate, authority, "c.example") == {"c.example"}
    assert names_shown(certificate, authority, "b.example") == {"a.example"}

    (second / "key.pem").write_text("nonsense")
    await seen()
    assert names_shown(certificate, authority, "c.example") == {"c.example"}

    write(authority, folder(tmp_path, "3"), "d.example")
    (tmp_path / "3" / "chain.pem").rename(first / "chain.pem")  # and the key not yet
    await seen()
    assert names_shown(certificate, authority, None) == {"a.example"}

    (second / "key.pem").unlink()
    await asyncio.sleep(0.05)
    assert not watching.done()
    assert names_shown(certificate, authority, None) == {"a.example"}
    watching.cancel()


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotUseCertificate, match=r"chain\.pem: No such file"):
        Certificate((tmp_path / "chain.pem", tmp_path / "key.pem"), use=CertificateUse.SUBMISSION)
    (tmp_path / "chain.pem").write_text("nonsense")
    (tmp_path / "key.pem").write_text("nonsense")
    with pytest.raises(CannotUseCertificate, match=r"chain\.pem with the key"):
        Certificate((tmp_path / "chain.pem", tmp_path / "key.pem"), use=CertificateUse.SUBMISSION)


def test_there_are_as_many_keys_as_certificates_or_none() -> None:
    given = {**GIVEN, "POSTHOUSE_INGEST_TLS_CERTIFICATE": "/a.pem, /b.pem"}
    assert load(IngestSettings, given).ingest_tls_certificate == (Path("/a.pem"), Path("/b.pem"))
    with pytest.raises(SettingsError, match=r"TLS_KEY has 1 files, .*TLS_CERTIFICATE 2: give one"):
        load(IngestSettings, {**given, "POSTHOUSE_INGEST_TLS_KEY": "/a.key"})


async def test_C02_a_relay_of_two_names_is_the_same_by_both(
    authority: trustme.CA, tmp_path: Path
) -> None:
    """A second name is a record in DNS, and a name in the certificate."""
    names = ("smtp.relay.example", "aws-smtp.relay.example")
    write(authority, tmp_path, *names)
    certificate = Certificate(
        (tmp_path / "chain.pem", tmp_path / "key.pem"), use=CertificateUse.SUBMISSION
    )
    context = ssl.create_default_context()
    authority.configure_trust(context)
    content = b"From: jo@a.example\r\nTo: al@there.example\r\nSubject: x\r\n\r\nx\r\n.\r\n"
    said: list[list[str]] = []
    async with running_door(("implicit",), certificate, QUICK) as door:
        for name in names:
            at = door.address
            client = Wire(
                *await asyncio.open_connection(at.host, at.port, ssl=context, server_hostname=name)
            )
            commands = ("EHLO client.example", f"AUTH PLAIN {PLAIN}")
            heard = [await client.reply(), *[await client.say(line) for line in commands]]
            said.append([*heard, (await client.message(content))[:10]])
            client.writer.close()
    assert said[0] == said[1]
    assert said[0][-1] == "250 2.0.0 "
