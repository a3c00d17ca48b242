"""HTTPS of many hosts from one folder: by the name that is asked for, and whatever changes."""

import asyncio
import os
import ssl
from pathlib import Path

import trustme

from posthouse.running.certificate_folder import CertificateFolder
from posthouse.running.http_server import HttpServer
from posthouse.running.tcp import Endpoint
from servers.tracking_server import tracking_port
from tracking.acme_challenge import AcmeChallenges
from tracking.pages import pages

OWN, SHOP, REFUSED = "t.relay.example", "click.shop.example", "refused"


def put(folder: Path, ca: trustme.CA, name: str, *, file: str = "") -> Path:
    """A file for *name*, written later than what was there."""
    path = folder / f"{file or name}.pem"
    ca.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(path))
    later = path.stat().st_mtime_ns + 1_000_000
    os.utime(path, ns=(later, later))
    return path


async def served(at: Endpoint, ca: trustme.CA, name: str) -> str:
    """The name in the certificate that a client gets who trusts *ca*, or REFUSED."""
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)
    try:
        _, writer = await asyncio.open_connection(
            at.host, at.port, ssl=trusting, server_hostname=name
        )
    except (ssl.SSLError, ConnectionError):
        return REFUSED
    found = writer.get_extra_info("peercert")["subjectAltName"][0][1]
    writer.close()
    return str(found)


async def test_each_host_has_its_certificate_and_no_other_host_gets_one(tmp_path: Path) -> None:
    ca = trustme.CA()
    folder = CertificateFolder(tmp_path / "later")
    async with HttpServer("t", pages(()), Endpoint("127.0.0.1", 0), tls=folder.https) as at:
        assert REFUSED == await served(at, ca, OWN)
        (tmp_path / "later").mkdir()
        own = put(tmp_path / "later", ca, OWN)
        put(tmp_path / "later", ca, "*.shop.example")
        (tmp_path / "later" / "broken.pem").write_text("nothing")
        folder.read()
        assert [OWN, "*.shop.example", REFUSED] == [
            await served(at, ca, name) for name in (OWN, SHOP, "other.example")
        ]
        put(tmp_path / "later", ca, SHOP, file=OWN)
        folder.read()
        assert [REFUSED, SHOP] == [await served(at, ca, name) for name in (OWN, SHOP)]
        own.write_text("half a file")
        os.utime(own, ns=(1, 1))
        folder.read()
        assert SHOP == await served(at, ca, SHOP)  # what it held before goes on
        own.unlink()
        folder.read()
        assert "*.shop.example" == await served(at, ca, SHOP)


async def test_challenges_are_read_from_their_folder_and_from_nowhere_else(tmp_path: Path) -> None:
    folder = tmp_path / ".well-known" / "acme-challenge"
    folder.mkdir(parents=True)
    (folder / "abc-DEF_1").write_text("abc-DEF_1.thumbprint")
    (tmp_path / "secret").write_text("no")
    (folder / "secret.pem").write_text("no")
    begin = "/.well-known/acme-challenge/"
    async with tracking_port(routes=tuple(AcmeChallenges(tmp_path).routes())) as port:
        answer = await port.ask(f"{begin}abc-DEF_1")
        assert (200, b"abc-DEF_1.thumbprint") == (answer.status, answer.body)
        for name in (
            "other",
            "",
            "secret.pem",
            "../../secret",
            "..%2f..%2fsecret",
            "%2e",
            "a" * 200,
        ):
            assert 404 == (await port.ask(begin + name)).status, name
