"""Returned mail that comes through a load balancer, which says whose it is (PROXY protocol)."""

import asyncio
import ssl

import pytest
import trustme

from bounces.proxy_introduction import ProxyIntroduction
from servers.bounce_port import Client, Port, counted, own, running
from servers.patience import on_this_machine
from servers.returned_mail import REPORTS

REPORT = next(p for p in REPORTS if p.stem == "user_unknown").read_bytes().replace(b"\n", b"\r\n")
V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 40000 25\r\n"
V2 = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"
    b"\xcb\x00\x71\x09\xc0\x00\x02\x01\x9c\x40\x00\x19"  # the same
)
LOCAL = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
LOOPBACK = ("127.0.0.0/8",)


async def introduced(port: Port, header: bytes) -> Client:
    """A connection that was greeted after *header*."""
    client = await port.connect()
    client.writer.write(header)
    assert (await client.reply()).startswith("220 ")
    return client


@pytest.mark.parametrize(
    ("header", "said"), [(V1, "203.0.113.9"), (V2, "203.0.113.9"), (LOCAL, "127.0.0.1")]
)
async def test_the_client_is_whom_the_proxy_names(header: bytes, said: str) -> None:
    async with running(proxies=LOOPBACK) as port:
        client = await introduced(port, header + b"EHLO mx.dest.example\r\n")
        assert (await client.reply()).startswith("250-")
        assert await client.give(REPORT, own()) == "250 2.0.0 Ok"
        (event,) = port.returns.events
        assert event.detail["client"] == said


async def test_clients_behind_one_proxy_have_limits_of_their_own() -> None:
    async with running(proxies=LOOPBACK, connections_per_client=1) as port:
        first = await introduced(port, V1)
        second = await port.connect()
        second.writer.write(V1)
        assert (await second.reply()).startswith("421 4.3.2")
        other = await introduced(port, V1.replace(b".9 ", b".10 "))
        for client in (first, second, other):
            client.writer.close()


async def test_the_client_stays_the_same_after_starttls() -> None:
    ca = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("mx.sender.example").configure_cert(server)
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)
    async with running(tls=server, proxies=LOOPBACK) as port:
        client = await introduced(port, V1)
        await client.send("EHLO mx.dest.example")
        await client.send("STARTTLS")
        await client.writer.start_tls(trusting, server_hostname="mx.sender.example")
        assert await client.give(REPORT, own()) == "250 2.0.0 Ok"
        (event,) = port.returns.events
        assert event.detail["client"] == "203.0.113.9"


@pytest.mark.parametrize(
    ("proxies", "header"),
    [
        (LOOPBACK, b"EHLO mx.dest.example\r\n"),
        (LOOPBACK, b"PROXY TCP4 here there 1 2\r\n"),
        (("10.0.0.0/8",), V1),  # no proxy of ours may say who it is
    ],
)
async def test_a_connection_without_a_good_header_is_closed_in_silence(
    proxies: tuple[str, ...], header: bytes
) -> None:
    before = counted("posthouse_returns_refused_total", reason="no_proxy_header")
    async with running(proxies=proxies) as port:
        client = await port.connect()
        client.writer.write(header)
        assert await client.reader.read() == b""
    assert counted("posthouse_returns_refused_total", reason="no_proxy_header") == before + 1


async def test_a_header_that_does_not_come_whole_is_not_waited_for() -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert isinstance(writer.transport, asyncio.Transport)
        introduction = ProxyIntroduction(
            writer.transport, LOOPBACK, lambda *_: named.append(1), seconds=0.01
        )
        introduction.take(await reader.readexactly(9))

    named: list[object] = []
    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        client = Client(*await asyncio.open_connection(*server.sockets[0].getsockname()))
        client.writer.write(V1[:9])
        assert await asyncio.wait_for(client.reader.read(), on_this_machine(10)) == b""
    assert named == []


async def test_who_leaves_within_the_header_is_forgotten() -> None:
    async with running(proxies=LOOPBACK) as port:
        client = await port.connect()
        client.writer.write(V1[:9])
        client.writer.write_eof()
        assert await client.reader.read() == b""
        await (await introduced(port, V1)).give(REPORT, own())
        assert len(port.returns.events) == 1


async def test_the_readiness_check_needs_no_header() -> None:
    async with running(proxies=("10.0.0.0/8",)) as port:
        await port.listener.check()
