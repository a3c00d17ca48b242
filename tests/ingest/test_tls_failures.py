"""TLS handshakes that fail: the client gets an alert, the operator a line, and a count."""

import asyncio
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from posthouse.running import service
from servers.door import ExactClient, OpenDoor, Running
from servers.http_door import OpenHttpDoor, RunningHttp
from servers.patience import on_this_machine, until

Change = Callable[[ssl.SSLContext], None]
OpenTls = Callable[[str], Awaitable[Running | RunningHttp]]


@pytest.fixture
def open_tls(open_door: OpenDoor, open_http: OpenHttpDoor) -> OpenTls:
    """Open a door with one listener, of SMTP or of HTTPS."""

    async def open_(mode: str) -> Running | RunningHttp:
        return await (open_http(mode) if mode == "https" else open_door(mode))

    return open_


def failures(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [line for line in lines if line["event"] == "tls_failed"]


def counted(reason: str) -> float:
    name = "posthouse_tls_inbound_failures_total"
    return REGISTRY.get_sample_value(name, {"reason": reason}) or 0.0


async def handshake(
    door: Running | RunningHttp, context: ssl.SSLContext, *, starttls: bool = False
) -> None:
    """By a thread: a client of asyncio sends no alert when it does not trust us."""

    def shake_hands() -> None:
        with socket.create_connection((door.address.host, door.address.port)) as plain:
            if starttls:
                assert plain.recv(1_000).startswith(b"220 ")
                plain.send(b"STARTTLS\r\n")
                assert plain.recv(1_000).startswith(b"220 ")
            with context.wrap_socket(plain, server_hostname="localhost"):
                pass

    await asyncio.to_thread(shake_hands)


async def in_clear(door: Running | RunningHttp) -> ExactClient:
    """A client that has said nothing yet."""
    return ExactClient(*await asyncio.open_connection(door.address.host, door.address.port))


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def _old(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")


def _odd(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-SHA256")  # our certificate's key is no RSA key


@pytest.mark.filterwarnings("ignore:.*TLSv1:DeprecationWarning")
@pytest.mark.parametrize("mode", ["opportunistic", "implicit", "https"])
@pytest.mark.parametrize(
    ("change", "alert", "failure", "sni"),
    [
        (_old, "TLSV1_ALERT_PROTOCOL_VERSION", "version", ""),  # nothing else was looked at
        (_odd, "SSLV3_ALERT_HANDSHAKE_FAILURE", "cipher", "localhost"),
    ],
)
async def test_a_failed_tls_handshake_is_answered_by_an_alert_logged_and_counted(
    open_tls: OpenTls,
    authority: trustme.CA,
    *,
    mode: str,
    change: Change,
    alert: str,
    failure: str,
    sni: str,
) -> None:
    door = await open_tls(mode)
    context = trusting(authority)
    change(context)
    before = counted(failure)
    with capture_logs() as lines, pytest.raises(ssl.SSLError, match=alert):
        await handshake(door, context, starttls=mode == "opportunistic")
    (line,) = failures(lines)
    assert (line["client"], line["sni"], line["failure"]) == ("127.0.0.1", sni, failure)
    assert line["reason"]
    assert counted(failure) == before + 1
    assert await door.connect(tls=trusting(authority) if mode != "opportunistic" else None)


@pytest.mark.parametrize("mode", ["implicit", "https"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_tls_client_that_does_not_trust_the_certificate_is_told_of(
    open_tls: OpenTls, mode: str, version: ssl.TLSVersion
) -> None:
    door = await open_tls(mode)
    context = ssl.create_default_context()
    context.maximum_version = version
    with capture_logs() as lines:
        with pytest.raises(ssl.SSLCertVerificationError):
            await handshake(door, context)
        await until(lambda: bool(failures(lines)))
    (line,) = failures(lines)
    assert (line["failure"], line["reason"]) == ("certificate", "tlsv1 alert unknown ca")


async def test_M03_what_is_not_tls_fails_before_any_mail_and_is_told(open_door: OpenDoor) -> None:
    door = await open_door("implicit")
    with capture_logs() as lines:
        for said in (b"EHLO x\r\nMAIL FROM:<jo@a.example>\r\n", b"GET / HTTP/1.0\r\n\r\n"):
            wire = await door.connect(greeting=False)
            await wire.send(said)
            async with asyncio.timeout(on_this_machine(5)):
                assert b"250" not in await wire.reader.read()
    told = [(line["failure"], line["reason"]) for line in failures(lines)]
    assert told == [("not_tls", "wrong version number"), ("not_tls", "http request")]
    assert door.directory.asked == []


async def test_what_is_not_tls_is_told_at_https_listeners_too(open_http: OpenHttpDoor) -> None:
    door = await open_http("https")
    before = counted("not_tls")
    with capture_logs() as lines:
        client = await door.connect()
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert await client.is_closed()
    (line,) = failures(lines)
    assert (line["failure"], line["reason"]) == ("not_tls", "http request")
    assert counted("not_tls") == before + 1


@pytest.mark.parametrize("mode", ["implicit", "https"])
async def test_a_tls_client_that_falls_silent_or_leaves_in_the_midst_is_told(
    open_tls: OpenTls, mode: str, leap: Callable[[float], None], client_tls: ssl.SSLContext
) -> None:
    door = await open_tls(mode)
    theirs, ours = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        client_tls.wrap_bio(theirs, ours, server_hostname="localhost").do_handshake()
    hello = ours.read()
    with capture_logs() as lines:
        silent, leaving = [await in_clear(door) for _ in range(2)]
        await silent.send(hello[:100])
        await leaving.send(hello)
        await leaving.reader.readexactly(100)
        leaving.writer.close()
        await until(lambda: bool(failures(lines)))
        leap(30)
        await silent.is_closed()
        silent.writer.close()
    assert [line["failure"] for line in failures(lines)] == ["closed", "timeout"]


async def test_a_check_that_connects_and_leaves_is_no_failure_of_tls(open_door: OpenDoor) -> None:
    door = await open_door("implicit")
    with capture_logs() as lines:
        wire = await door.connect(greeting=False)
        wire.writer.write_eof()
        assert await wire.is_closed()
    assert failures(lines) == []


@pytest.mark.parametrize(
    ("name", "failure", "shown"),
    [(b"a\x1b[2J\nb.c", "certificate", r"'a\x1b[2j\nb.c'"), (b"a\xff\xff\xff\xff\xff.c", None, "")],
)
async def test_no_name_that_a_tls_client_asks_for_does_harm(
    open_door: OpenDoor,
    monkeypatch: pytest.MonkeyPatch,
    name: bytes,
    failure: str | None,
    shown: str,
) -> None:
    monkeypatch.setattr(sys, "unraisablehook", service._on_unraisable)
    door = await open_door("implicit")
    theirs, ours = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(theirs, ours, server_hostname="b" * len(name))
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    wire = await door.connect(greeting=False)
    with capture_logs() as lines:
        await wire.send(ours.read().replace(b"b" * len(name), name))
        answer = await wire.reader.read(65_536)
        if failure:
            await wire.send(b"\x15\x03\x03\x00\x02\x02\x30")  # alert: unknown CA
        await wire.is_closed()
        await until(lambda: bool(failures(lines)))
    assert answer
    assert [line["sni"] for line in failures(lines)] == [shown]
    assert [line["event"] for line in lines if line["event"] == "unraisable"] == (
        [] if failure else ["unraisable"]
    )


def with_new_keys(secret: bytes, changes: int, last: bytes) -> Iterator[bytes]:
    """Records by which a client changes its key so often (RFC 8446, 4.6.3), then says *last*."""

    def expanded(label: bytes, octets: int) -> bytes:
        info = octets.to_bytes(2, "big") + bytes([6 + len(label)]) + b"tls13 " + label + b"\0"
        return HKDFExpand(SHA384(), octets, info).derive(secret)

    for content in [b"\x18\x00\x00\x01\x00\x16"] * changes + [last + b"\x17"]:
        head = b"\x17\x03\x03" + (len(content) + 16).to_bytes(2, "big")
        # Each is the first record under its key.
        yield head + AESGCM(expanded(b"key", 32)).encrypt(expanded(b"iv", 12), content, head)
        secret = expanded(b"traffic upd", 48)


@pytest.mark.parametrize(
    ("mode", "last", "answer"),
    [
        ("implicit", b"QUIT\r\n", b"221 2.0.0 Goodbye\r\n"),
        ("https", b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.1 404 Not Found\r\n"),
    ],
)
@pytest.mark.parametrize("changes", [32, 33])
async def test_a_tls_client_that_changes_its_key_all_the_time_has_to_go(
    open_tls: OpenTls,
    authority: trustme.CA,
    tmp_path: Path,
    *,
    changes: int,
    mode: str,
    last: bytes,
    answer: bytes,
) -> None:
    """A change costs it 27 octets, and us more time than a command does."""
    door = await open_tls(mode)
    context = trusting(authority)
    context.keylog_filename = str(tmp_path / "keys")

    def change_keys() -> bytes:
        plain = socket.create_connection((door.address.host, door.address.port))
        with context.wrap_socket(plain, server_hostname="localhost") as tls:
            assert tls.cipher() == ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)
            if mode == "implicit":
                assert tls.recv(1_000).startswith(b"220 ")
            keys = dict(line.split()[::2] for line in (tmp_path / "keys").open() if line[0] != "#")
            secret = bytes.fromhex(keys["CLIENT_TRAFFIC_SECRET_0"])
            # By the socket itself: the client's own TLS knows nothing of them.
            socket.socket.sendall(tls, b"".join(with_new_keys(secret, changes, last)))
            return tls.recv(1_000)

    said = await asyncio.to_thread(change_keys)
    assert (said.startswith(answer), bool(said)) == (changes == 32, changes == 32)
