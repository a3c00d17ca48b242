"""HTTP octet by octet: framing, limits, time, and how connections end."""

import asyncio
import json
import socket
import ssl
from collections.abc import Callable
from functools import partial

import pytest

from ingest.http.served import WireLimits
from ingest.http.session import HttpSession
from servers.http_door import BEARER, MESSAGE, HttpWireClient, OpenHttpDoor, RunningHttp
from servers.patience import turns_of_the_loop, until

BODY = json.dumps(MESSAGE).encode()
HEAD = (
    "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    f"Authorization: {BEARER}\r\n"
).encode()
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY

SMUGGLING = {
    "a length beside chunks": HEAD
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks beside a length": HEAD
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "two equal lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "a list of lengths": HEAD + b"Content-Length: 5, 5\r\n\r\nhello",
    "a sign": HEAD + b"Content-Length: +5\r\n\r\nhello",
    "a negative length": HEAD + b"Content-Length: -5\r\n\r\nhello",
    "bare LF": WHOLE.replace(b"\r\n", b"\n"),
    "bare CR": HEAD + b"X: a\rContent-Length: 3\r\n\r\nabc",
    "a folded field": HEAD + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "a blank before the colon": HEAD + b"Content-Length : 5\r\n\r\nhello",
    "NUL in a field": HEAD + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "an empty name": HEAD + b": a\r\nContent-Length: 0\r\n\r\n",
    "another coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two codings": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "identity behind chunked": HEAD
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": HEAD.replace(b"1.1", b"1.0")
    + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk with 0x": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    "bare LF behind a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n",
    "an endless chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\na",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another version": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "another protocol": b"EHLO client.example\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32),
    "a field behind the chunks": HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nContent-Length: 3\r\n\r\n",
}


@pytest.mark.parametrize("octets", SMUGGLING.values(), ids=SMUGGLING)
async def test_what_can_be_read_in_two_ways_ends_the_connection(
    http: HttpWireClient, http_door: RunningHttp, octets: bytes
) -> None:
    await http.send(octets + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = await http.answer()

    assert answer.status in (400, 501, 505)
    assert answer.fields["connection"] == "close"
    assert answer.fields["content-type"] == "application/problem+json"
    assert await http.is_closed()
    assert not http_door.intake.accepted


async def test_a_request_may_come_octet_by_octet_and_in_chunks(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    chunks = b"".join(b"%x;a=b\r\n%s\r\n" % (1, BODY[i : i + 1]) for i in range(len(BODY)))
    octets = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nX: y\r\n\r\n"
    for at in range(len(octets)):
        await http.send(octets[at : at + 1])

    assert (await http.answer()).status == 202
    assert len(http_door.intake.accepted) == 1


async def test_requests_follow_each_other_on_one_connection(http: HttpWireClient) -> None:
    for _ in range(3):
        answer = await http.post("/v1/messages", MESSAGE)
        assert answer.status == 202
        assert "connection" not in answer.fields
        assert "server" not in answer.fields


async def test_a_request_before_the_answer_to_the_one_before_is_not_read(
    http: HttpWireClient, http_door: RunningHttp
) -> None:
    await http.send(WHOLE + WHOLE)

    answer = await http.answer()
    assert (answer.status, answer.fields["connection"]) == (202, "close")
    assert await http.is_closed()
    assert len(http_door.intake.accepted) == 1


async def test_an_upgrade_is_not_carried_out(http: HttpWireClient) -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    await http.send(HEAD + upgrade + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)

    assert (await http.answer()).status == 202


async def test_connections_close_when_clients_ask(http: HttpWireClient) -> None:
    answer = await http.post("/v1/messages", MESSAGE, Connection="close")

    assert (answer.status, answer.fields["connection"]) == (202, "close")
    assert await http.is_closed()


async def test_http_1_0_is_answered_and_closed(http: HttpWireClient) -> None:
    await http.send(WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0", 1))

    assert (await http.answer()).status == 202
    assert await http.is_closed()


async def test_a_client_that_half_closes_is_answered(http: HttpWireClient) -> None:
    await http.send(WHOLE)
    http.writer.write_eof()

    assert (await http.answer()).status == 202
    assert await http.is_closed()


async def test_so_many_requests_a_connection_may_have(open_http: OpenHttpDoor) -> None:
    client = await (await open_http(wire=WireLimits(requests=2))).connect()

    assert "connection" not in (await client.post("/v1/messages", MESSAGE)).fields
    assert (await client.post("/v1/messages", MESSAGE)).fields["connection"] == "close"
    assert await client.is_closed()


async def test_a_client_that_waits_is_told_to_send_its_body(http: HttpWireClient) -> None:
    length = b"Content-Length: %d\r\n" % len(BODY)
    await http.send(HEAD + length + b"Expect: 100-continue\r\n\r\n")

    assert await http.reader.readexactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
    await http.send(BODY)
    assert (await http.answer()).status == 202


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"Authorization: Bearer user.wrong\r\nContent-Length: 5\r\n", 401),
        (b"Content-Length: 99999999\r\n", 413),
        (b"Content-Type: text/plain\r\nContent-Length: 5\r\n", 415),
    ],
)
async def test_a_client_that_waits_is_refused_before_it_sends(
    http: HttpWireClient, fields: bytes, status: int
) -> None:
    lines = HEAD.splitlines(keepends=True)
    kept = [one for one in lines if one.split(b":")[0] not in fields]
    await http.send(b"".join(kept) + fields + b"Expect: 100-continue\r\n\r\n")

    answer = await http.answer()
    assert (answer.status, answer.fields["connection"]) == (status, "close")
    assert await http.is_closed()


async def test_another_expectation_is_refused(http: HttpWireClient) -> None:
    await http.send(HEAD + b"Expect: a miracle\r\n\r\n")

    assert (await http.answer()).status == 417


async def test_an_answer_can_be_read_by_a_client_that_goes_on_sending(
    open_http: OpenHttpDoor,
) -> None:
    client = await (await open_http(message_octets=1_024)).connect()
    await client.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    for _ in range(40):
        await client.send(chunk)

    assert (await client.answer()).status == 413


async def test_a_large_header_is_refused(http: HttpWireClient) -> None:
    await http.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000)

    assert (await http.answer()).status == 431
    assert await http.is_closed()


async def test_many_small_fields_are_refused(http: HttpWireClient) -> None:
    await http.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * 12_000)

    assert (await http.answer()).status == 431


async def test_a_head_has_its_time(open_http: OpenHttpDoor, leap: Callable[[float], None]) -> None:
    client = await (await open_http()).connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: ")
    await turns_of_the_loop()
    leap(31)
    await client.send(b"a")

    assert (await client.answer()).status == 408
    assert await client.is_closed()


async def test_a_body_has_its_time_and_its_octets_more_of_it(
    open_http: OpenHttpDoor, leap: Callable[[float], None]
) -> None:
    client = await (await open_http()).connect()
    await client.send(HEAD + b"Content-Length: 99999\r\n\r\n" + b" " * 20_000)
    await turns_of_the_loop()
    leap(40)
    await client.send(b" ")
    await turns_of_the_loop()
    leap(20)
    await client.send(b" ")

    assert (await client.answer()).status == 408
    assert await client.is_closed()


async def test_an_idle_connection_is_closed(
    open_http: OpenHttpDoor, leap: Callable[[float], None]
) -> None:
    client = await (await open_http()).connect()
    assert (await client.post("/v1/messages", MESSAGE)).status == 202
    leap(61)

    assert await client.is_closed()


async def test_connections_of_one_address_are_limited(open_http: OpenHttpDoor) -> None:
    door = await open_http(connections_per_address=2)
    first, second = await door.connect(), await door.connect()
    assert (await second.post("/v1/messages", MESSAGE)).status == 202
    third = await door.connect()

    assert (await third.answer()).status == 503
    first.writer.close()
    await first.writer.wait_closed()
    await until(lambda: len(door.context.connections.open) == 1)
    fourth = await door.connect()
    assert (await fourth.post("/v1/messages", MESSAGE)).status == 202


async def test_a_stop_lets_a_request_finish(http: HttpWireClient, http_door: RunningHttp) -> None:
    idle = await http_door.connect()
    await idle.post("/v1/messages", MESSAGE)
    http_door.intake.open.clear()
    asking = asyncio.create_task(http.post("/v1/messages", MESSAGE))
    await until(lambda: http_door.intake.asked == 2)
    http_door.stopping.set()

    assert await idle.is_closed()
    assert not asking.done()
    http_door.intake.open.set()
    answer = await asking
    assert (answer.status, answer.fields["connection"]) == (202, "close")


async def test_https_speaks_tls(open_http: OpenHttpDoor, client_tls: ssl.SSLContext) -> None:
    door = await open_http("https")
    client = await door.connect(tls=client_tls)

    assert (await client.post("/v1/messages", MESSAGE)).status == 202
    assert door.intake.accepted[0].tls.startswith("TLSv1.3 ")


async def test_the_end_of_an_answer_over_tls_is_said(
    open_http: OpenHttpDoor, client_tls: ssl.SSLContext
) -> None:
    """A client can tell that nobody cut it off (RFC 8446 section 6.1)."""
    door = await open_http("https")

    def ask() -> bytes:
        plain = socket.create_connection((door.address.host, door.address.port))
        with client_tls.wrap_socket(
            plain, server_hostname="localhost", suppress_ragged_eofs=False
        ) as tls:
            tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return b"".join(iter(partial(tls.recv, 65_536), b""))

    assert b"application/problem+json" in await asyncio.to_thread(ask)


async def test_of_a_body_over_tls_that_nobody_reads_only_a_part_is_taken(
    open_http: OpenHttpDoor, client_tls: ssl.SSLContext
) -> None:
    door = await open_http("https")
    client = await door.connect(tls=client_tls)
    door.directory.open.clear()
    length = 8 << 20
    await client.send(HEAD + b"Content-Length: %d\r\n\r\n" % length)
    sending = asyncio.create_task(client.send(b" " * length))
    await until(lambda: bool(door.context.connections.open))
    (session,) = door.context.connections.open
    assert isinstance(session, HttpSession)
    await until(lambda: not session._wire._reading)
    assert 131_072 < session._wire._parser.unread < 1 << 20

    door.directory.open.set()
    await sending
    assert (await client.answer()).status == 422


async def test_a_stop_waits_for_no_tls_handshake(open_http: OpenHttpDoor) -> None:
    door = await open_http("https", handshake_seconds=3_600)
    client = await door.connect()
    await client.send(b"\x16\x03\x01")
    await until(lambda: bool(door.context.connections.open))
    door.stopping.set()

    assert await client.is_closed()
    await until(door.task.done)


async def test_a_tls_handshake_that_fails_takes_no_place(open_http: OpenHttpDoor) -> None:
    door = await open_http("https")
    client = await door.connect()
    await client.send(WHOLE)
    await client.reader.read()

    await until(lambda: not door.context.connections.open)
