"""A client that says too much, or too slowly, loses its connection, and no other does."""

import asyncio

import pytest

from posthouse.running.bounded_http import MOST_HEAD_OCTETS
from posthouse.running.http_server import HttpServer
from posthouse.running.tcp import Endpoint
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
