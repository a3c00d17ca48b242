"""Health is answered over HTTP by doing real work."""

import asyncio
import socket

import msgspec
import pytest

from posthouse.running.health import Health
from posthouse.running.http_server import CannotListen
from posthouse.running.tcp import Endpoint
from servers.patience import on_this_machine

ANY = Endpoint("127.0.0.1", 0)


async def get(health: Health, path: str) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection(health.address.host, health.address.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


async def fine() -> None:
    return None


async def broken() -> None:
    raise ConnectionRefusedError("database is away")


async def test_ready_when_every_check_passes() -> None:
    async with Health(ANY, {"database": fine}) as health:
        status, body = await get(health, "/healthz/ready")

    assert status == 200
    assert msgspec.json.decode(body) == {
        "status": "ready",
        "checks": {"database": "ok", "taking_work": "ok"},
    }


async def test_not_ready_names_the_check_that_failed_but_stays_alive() -> None:
    async with Health(ANY, {"broker": fine, "database": broken}) as health:
        status, body = await get(health, "/healthz/ready")
        live, _ = await get(health, "/healthz/live")

    assert status == 503
    assert msgspec.json.decode(body)["checks"] == {
        "broker": "ok",
        "database": "ConnectionRefusedError: database is away",
        "taking_work": "ok",
    }
    assert live == 200


async def test_not_ready_while_draining() -> None:
    async with Health(ANY, {}) as health:
        health.drain()
        status, body = await get(health, "/healthz/ready")

    assert status == 503
    assert msgspec.json.decode(body)["checks"] == {"taking_work": "draining"}


async def test_a_check_that_hangs_is_a_finding() -> None:
    async with Health(ANY, {"database": asyncio.Event().wait}) as health:
        assert (await health.findings())["database"] == "no answer within 2 seconds"


async def test_metrics_name_the_build() -> None:
    async with Health(ANY, {}) as health:
        status, body = await get(health, "/metrics")

    assert status == 200
    assert b"posthouse_build_info{" in body


async def test_a_taken_port_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"cannot listen on 127.0.0.1:{port}: "):
            async with Health(Endpoint("127.0.0.1", port), {}):
                pass


async def test_an_idle_client_does_not_hold_up_the_end() -> None:
    async with asyncio.timeout(on_this_machine(5)):
        async with Health(ANY, {}) as health:
            _, writer = await asyncio.open_connection(health.address.host, health.address.port)
        writer.close()
