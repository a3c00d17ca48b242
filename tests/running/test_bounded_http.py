"""A client that says too much, or too slowly, loses its connection, and no other does."""

import asyncio

import pytest

from posthouse.running.bounded_http import MOST_HEAD_OCTETS, ClientConnections
from posthouse.running.http_server import HttpServer
from posthouse.running.tcp import Endpoint
from servers.patience import eventually
from servers.tracking_server import asked
from tracking.pages import pages

ANY = Endpoint("127.0.0.1", 0)
REQUEST = b"GET / HTTP/1.1\r\nHost: t\r\n"
CLOSING = REQUEST + b"Connection: close\r\n\r\n"


async def told(at: Endpoint, octets: bytes) -> bytes:
    """What comes back; nothing where the connection was lost while *octets* were sent."""
    try:
        return await asked(at, octets)
    except ConnectionError:
        return b""


@pytest.mark.parametrize(
    "octets",
    [
        REQUEST + b"X: " + b"a" * 3_000_000 + b"\r\n\r\n",
        b"GET /" + b"c" * 3_000_000 + b" HTTP/1.1\r\n\r\n",
        REQUEST + b"X: a\r\n" * 500_000 + b"\r\n",
    ],
)
async def test_a_head_of_megabytes_is_not_read_to_its_end(octets: bytes) -> None:
    async with HttpServer("t", pages(()), ANY) as at:
        answer = await told(at, octets)
        assert answer == b"" or b"431" in answer[:12]
        assert b" 404 " in (await asked(at, CLOSING))[:16]


async def test_long_heads_and_many_requests_are_taken() -> None:
    long = REQUEST + b"X: " + b"a" * (MOST_HEAD_OCTETS // 2) + b"\r\n\r\n"
    async with HttpServer("t", pages(()), ANY) as at:
        answer = await asked(at, long * 3 + CLOSING)
        assert 4 == answer.count(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("octets", [b"", REQUEST, REQUEST + b"\r\n" + REQUEST])
async def test_who_does_not_end_a_head_is_left(octets: bytes) -> None:
    async with HttpServer("t", pages(()), ANY, head_seconds=0.2) as at:
        reader, writer = await asyncio.open_connection(at.host, at.port)
        writer.write(octets)
        answer = await reader.read()  # ends when the server closes
        assert octets.count(b"\r\n\r\n") == answer.count(b"HTTP/1.1 404 ")
        writer.close()


async def test_a_client_has_so_many_connections_and_gets_a_new_one_for_each_that_ends() -> None:
    few = ClientConnections(2)
    async with HttpServer("t", pages(()), ANY, connections=few) as at:
        kept = [await asyncio.open_connection(at.host, at.port) for _ in range(2)]
        for reader, writer in kept:
            writer.write(REQUEST + b"\r\n")
            assert b" 404 " in (await reader.readline())
        assert b"" == await told(at, CLOSING)
        kept[0][1].close()

        async def is_answered() -> bool:
            return b" 404 " in (await told(at, CLOSING))[:16]

        await eventually(is_answered)
        kept[1][1].close()


def test_networks_of_proxies_have_any_number_and_others_are_told_apart() -> None:
    one = ClientConnections(1, exempt=("192.0.2.0/24",))
    assert ["", ""] == [one.enter("192.0.2.1"), one.enter("192.0.2.1")]
    first = one.enter("2001:db8::1")
    assert first
    assert one.enter("2001:db8::2") is None  # the same 64 bits
    assert one.enter("2001:db8:0:1::1")
    one.leave(first)
    assert one.enter("2001:db8::2")
