"""PROXY protocol, versions 1 and 2: the header alone, and connections that begin with one."""

import asyncio
import ssl
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from posthouse.smtp.proxy_header import BadProxyHeader, ProxyHeader, read_proxy_header
from servers.door import PLAIN, OpenDoor, Running, Wire
from servers.patience import on_this_machine, until

V2 = b"\r\n\r\n\x00\r\nQUIT\n"
TCP4, TCP6, UNSPEC = 0x11, 0x21, 0x00
FROM_A_PROXY = "+proxy=127.0.0.0/8"


def v2(command: int, family: int, behind: bytes) -> bytes:
    return V2 + bytes([0x20 | command, family]) + len(behind).to_bytes(2, "big") + behind


def addresses(client: str, server: str) -> bytes:
    return ip_address(client).packed + ip_address(server).packed + struct.pack("!HH", 56324, 25)


TLVS = b"\x03\x00\x04\xde\xad\xbe\xef" + b"\x04\x00\x02xx"  # a CRC32c that is wrong, a NOOP
V4 = v2(1, TCP4, addresses("192.0.2.1", "192.0.2.2"))
GOOD = [
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 25\r\n", "192.0.2.1"),
    (b"PROXY TCP6 2001:db8::1 2001:db8::2 0 65535\r\n", "2001:db8::1"),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff:f...f:ffff anything 1\r\n", None),
    (V4, "192.0.2.1"),
    (v2(1, TCP4, addresses("192.0.2.1", "192.0.2.2") + TLVS), "192.0.2.1"),
    (v2(1, TCP6, addresses("2001:db8::1", "::1")), "2001:db8::1"),
    (v2(1, TCP4, addresses("192.0.2.1", "192.0.2.2") + bytes(4_084)), "192.0.2.1"),
    (v2(1, UNSPEC, b""), None),
    (v2(0, UNSPEC, b""), None),
    (v2(0, 0x31, bytes(216)), None),
]


@pytest.mark.parametrize(("header", "client"), GOOD)
def test_X01_a_proxy_header_is_read_however_it_is_cut(header: bytes, client: str | None) -> None:
    for end in range(len(header)):
        assert read_proxy_header(header[:end]) is None
    for behind in (b"", b"\x16\x03\x01", b"EHLO x\r\n", header):
        assert read_proxy_header(header + behind) == ProxyHeader(len(header), client)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"EHLO x\r\n", "something else"),
        (b"E", "something else"),
        (b"\x16\x03\x01\x02\x00", "something else"),
        (b"PROXY\tTCP4", "something else"),
        (b"proxy tcp4 192.0.2.1 192.0.2.2 1 2\r\n", "something else"),
        (b"PROXY " + b"x" * 101, "no line end within 107 octets"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", "without CR LF"),
        (b"PROXY \r\n", "not PROXY TCP4 or TCP6"),
        (b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", "not PROXY TCP4 or TCP6"),
        (b"PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n", "not PROXY TCP4 or TCP6"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "not PROXY TCP4 or TCP6"),
        (b"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n", "an address is not one of TCP4"),
        (b"PROXY TCP4 2001:db8::1 192.0.2.2 1 2\r\n", "an address is not one of TCP4"),
        (b"PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n", "an address is not one of TCP4"),
        (b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", "an address is not one of TCP6"),
        (b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", "zone"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n", "port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n", "port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 \xb2 2\r\n", "port"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 99999999999 2\r\n", "port"),
        (V4[:12] + b"\x11" + V4[13:], "version and command are 0x11"),
        (v2(2, TCP4, b""), "version and command are 0x22"),
        (v2(1, TCP4, bytes(11)), "family 0x11 with 11 octets"),
        (v2(1, TCP6, bytes(35)), "family 0x21 with 35 octets"),
        (v2(1, 0x12, bytes(12)), "family 0x12"),
        (v2(1, 0x31, bytes(216)), "family 0x31"),
        (v2(1, TCP4, bytes(4_097)), "4097 octets"),
    ],
)
def test_what_is_no_proxy_header_is_refused_at_once(said: bytes, why: str) -> None:
    with pytest.raises(BadProxyHeader, match=why):
        read_proxy_header(said)


@given(st.binary(max_size=200), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", V2, V4[:16]]))
def test_no_octets_do_harm(rest: bytes, begin: bytes) -> None:
    with suppress(BadProxyHeader):
        found = read_proxy_header(begin + rest)
        assert found is None or found.octets <= len(begin + rest)


# Connections.


def refused(lines: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    told = [line for line in lines if line["event"] == "proxy_header_refused"]
    return [(line["client"], line["reason"]) for line in told]


async def behind_proxy(door: Running, header: bytes, *rest: bytes) -> Wire:
    client = await door.connect(greeting=False)
    await client.send(header)
    for more in rest:
        await client.send(more)
    return client


@pytest.mark.parametrize(("header", "client"), GOOD[:9])
async def test_the_address_behind_a_proxy_is_the_clients(
    open_door: OpenDoor, header: bytes, client: str | None
) -> None:
    door = await open_door("none" + FROM_A_PROXY)
    wire = await behind_proxy(door, header)
    assert (await wire.reply()).startswith("220 ")
    await wire.log_in()
    assert (await wire.message(b"From: jo@a.example\r\n\r\nx\r\n.\r\n")).startswith("250 ")
    assert door.intake.accepted[0].client == (client or "127.0.0.1")


async def test_connections_are_counted_by_the_address_behind_the_proxy(
    open_door: OpenDoor,
) -> None:
    door = await open_door("none" + FROM_A_PROXY, connections_per_address=1)
    for number in (1, 2, 3):
        header = b"PROXY TCP4 192.0.2.%d 192.0.2.99 1 2\r\n" % number
        assert (await (await behind_proxy(door, header)).reply()).startswith("220 ")
    again = await behind_proxy(door, header)
    assert (
        await again.reply()
        == "421 4.7.0 Too many connections from your address: 1 are open, which is the most"
    )


async def test_a_header_may_come_octet_by_octet_and_mail_behind_it(open_door: OpenDoor) -> None:
    door = await open_door("none" + FROM_A_PROXY)
    octets = [bytes([octet]) for octet in V4]
    wire = await behind_proxy(door, b"", *octets, b"EHLO x\r\nNOOP\r\n")
    assert (await wire.reply()).startswith("220 ")
    assert (await wire.reply()).startswith("250-mx.posthouse.example")
    assert await wire.reply() == "250 2.0.0 Ok"


async def test_what_came_with_the_header_counts_although_the_client_has_ended_its_side(
    open_door: OpenDoor,
) -> None:
    door = await open_door("none" + FROM_A_PROXY)
    wire = await door.connect(greeting=False)
    wire.writer.write(V4 + b"EHLO x\r\nQUIT\r\n")
    wire.writer.write_eof()
    assert (await wire.reader.read()).endswith(b"221 2.0.0 Goodbye\r\n")


@pytest.mark.parametrize("header", [GOOD[0][0], V4], ids=["version 1", "version 2"])
async def test_tls_may_come_in_one_piece_with_the_header(
    open_door: OpenDoor, client_tls: ssl.SSLContext, header: bytes
) -> None:
    door = await open_door("implicit" + FROM_A_PROXY)
    at = door.address
    theirs, ours = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_tls.wrap_bio(theirs, ours, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    reader, writer = await asyncio.open_connection(at.host, at.port)
    writer.write(header + ours.read())
    greeting = b""
    async with asyncio.timeout(on_this_machine(10)):
        while not greeting:
            theirs.write(await reader.read(65_536))
            try:
                tls.do_handshake()
                writer.write(ours.read())
                greeting = tls.read()
            except ssl.SSLWantReadError:
                pass
    assert greeting.startswith(b"220 ")
    writer.close()


@pytest.mark.parametrize("listener", ["none", "implicit"])
@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"EHLO x\r\n", "something else came first"),
        (b"\x16\x03\x01\x02\x00\x01", "something else came first"),
        (b"PROXY TCP4 x\r\n", "not PROXY TCP4 or TCP6 with two addresses and two ports"),
        (b"PROXY " + b"x" * 100_000, "no line end within 107 octets"),
    ],
)
async def test_without_a_good_header_the_connection_is_closed_in_silence(
    open_door: OpenDoor, listener: str, said: bytes, reason: str
) -> None:
    door = await open_door(listener + FROM_A_PROXY)
    with capture_logs() as lines:
        wire = await behind_proxy(door, said)
        assert await wire.is_closed()
    assert refused(lines) == [("127.0.0.1", reason)]


async def test_a_header_has_a_time_limit(open_door: OpenDoor) -> None:
    door = await open_door("none" + FROM_A_PROXY, proxy_seconds=0.05)
    with capture_logs() as lines:
        assert await (await behind_proxy(door, b"PROXY ")).is_closed()
    assert refused(lines) == [("127.0.0.1", "not complete within 0.05 seconds")]


@pytest.mark.parametrize("listener", ["none", "implicit"])
async def test_a_stop_waits_for_no_header(open_door: OpenDoor, listener: str) -> None:
    door = await open_door(listener + FROM_A_PROXY, proxy_seconds=3_600)
    wire = await behind_proxy(door, b"PROXY ")
    label = {"listener": door.service._listeners[0].name}
    await until(lambda: REGISTRY.get_sample_value("posthouse_smtp_sessions", label) == 1)
    door.stopping.set()
    assert await wire.is_closed()
    await until(door.task.done)


async def test_a_check_that_connects_and_says_nothing_is_not_worth_a_line(
    open_door: OpenDoor,
) -> None:
    door = await open_door("none" + FROM_A_PROXY)
    with capture_logs() as lines:
        for said in (b"", b"PROXY "):
            wire = await behind_proxy(door, said)
            wire.writer.write_eof()
            assert await wire.is_closed()
    assert refused(lines) == [("127.0.0.1", "closed within it")]


async def test_others_than_the_named_networks_are_closed(open_door: OpenDoor) -> None:
    door = await open_door("none+proxy=192.0.2.0/24+proxy=2001:db8::/32")
    with capture_logs() as lines:
        assert await (await behind_proxy(door, V4)).is_closed()
    assert refused(lines) == [("127.0.0.1", "its address is in no network of the listener")]


async def test_elsewhere_a_header_is_a_command_that_nobody_knows(open_door: OpenDoor) -> None:
    door = await open_door("none")
    wire = await door.connect()
    assert (await wire.say("PROXY TCP4 192.0.2.1 192.0.2.2 1 2")).startswith("500 ")
    await wire.log_in()
    assert (await wire.message(b"From: jo@a.example\r\n\r\nx\r\n.\r\n")).startswith("250 ")
    assert door.intake.accepted[0].client == "127.0.0.1"


async def test_a_second_header_is_no_header(open_door: OpenDoor) -> None:
    """A client behind the proxy says it: before its mail, within it and behind it."""
    door = await open_door("none" + FROM_A_PROXY)
    again = b"PROXY TCP4 198.51.100.7 192.0.2.2 1 2"
    wire = await behind_proxy(door, GOOD[0][0] + again + b"\r\n")
    assert (await wire.reply()).startswith("220 ")
    assert (await wire.reply()).startswith("500 ")
    await wire.say("EHLO x")
    await wire.say(f"AUTH PLAIN {PLAIN}")
    content = b"From: jo@a.example\r\n\r\n" + again + b"\r\n.\r\n" + again + b"\r\n"
    assert (await wire.message(content)).startswith("250 ")
    assert (await wire.reply()).startswith("500 ")
    (message,) = door.intake.accepted
    assert message.client == "192.0.2.1"
    assert message.body == again + b"\r\n"
