"""The demo's sink: it takes, refuses and sends back, over real connections."""

import asyncio
import json
import smtplib
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from email import message_from_bytes
from email.message import Message
from typing import Any

import pytest
import pytest_asyncio

from demo.sink import Sink
from posthouse.running.tcp import Endpoint
from servers.patience import eventually

FREE = Endpoint("127.0.0.1", 0)
TEXT = b"From: a@x.example\r\nSubject: x\r\n\r\n.dots and all\r\n"


@pytest_asyncio.fixture
async def sinks() -> AsyncIterator[tuple[Endpoint, Endpoint, Endpoint]]:
    """SMTP and HTTP of a sink, and the HTTP of another one that gets the first one's reports."""
    other = Sink(delay=0, bounces=None)
    reports_to, other_http = await other.open(FREE, FREE)
    sink = Sink(delay=0, bounces=reports_to)
    smtp, http = await sink.open(FREE, FREE)
    yield smtp, http, other_http
    await sink.close()
    await other.close()


def submit(smtp: Endpoint, *recipients: str) -> dict[str, Any]:
    """Send TEXT to *recipients*; those that were refused."""
    with smtplib.SMTP(smtp.host, smtp.port, timeout=60) as client:
        return dict(client.sendmail("b+token@relay.example", recipients, TEXT))


def get(http: Endpoint, path: str) -> bytes:
    with urllib.request.urlopen(f"http://{http}{path}", timeout=60) as answer:
        content: bytes = answer.read()
        return content


async def wait_for(http: Endpoint, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What the sink tells, once *is_so*."""
    told: dict[str, Any] = {}

    async def tells() -> bool:
        nonlocal told
        told = json.loads(await asyncio.to_thread(get, http, "/messages"))
        return is_so(told)

    await eventually(tells)
    return told


async def test_what_it_takes_it_can_show_octet_for_octet(
    sinks: tuple[Endpoint, Endpoint, Endpoint],
) -> None:
    smtp, http, _ = sinks
    refused = await asyncio.to_thread(submit, smtp, "alice@y.example", "nobody@y.example")
    assert list(refused) == ["nobody@y.example"]
    assert refused["nobody@y.example"] == (550, b"5.1.1 no such mailbox here")

    told = json.loads(await asyncio.to_thread(get, http, "/messages"))
    (message,) = told["messages"]
    assert message["recipients"] == ["alice@y.example"]
    assert message["started"] <= message["finished"]
    assert told["refused"] == ["nobody@y.example"]
    assert await asyncio.to_thread(get, http, "/messages/0") == TEXT
    with pytest.raises(urllib.error.HTTPError, match="404"):
        await asyncio.to_thread(get, http, "/messages/1")


async def test_it_is_a_server_like_the_products_own(
    sinks: tuple[Endpoint, Endpoint, Endpoint],
) -> None:
    """It says no to what the relay must not send, and keeps nothing of it."""
    smtp, http, _ = sinks

    def smuggle() -> tuple[int, bytes]:
        with smtplib.SMTP(smtp.host, smtp.port, timeout=60) as client:
            client.helo("relay.example")
            assert client.docmd("RCPT TO:<a@y.example>")[0] == 503
            client.mail("a@x.example")
            client.rcpt("a@y.example")
            assert client.docmd("DATA")[0] == 354
            client.send(b"A: b\r\n\r\ntext\n.\r\nmore\r\n.\r\n")
            return client.getreply()

    assert await asyncio.to_thread(smuggle) == (550, b"5.6.0 not taken: bare_line_end")
    told = json.loads(await asyncio.to_thread(get, http, "/messages"))
    assert {"messages": [], "refused": []} == told


async def test_gone_comes_back_as_a_report_to_the_return_path(
    sinks: tuple[Endpoint, Endpoint, Endpoint],
) -> None:
    smtp, _, reports = sinks
    assert await asyncio.to_thread(submit, smtp, "gone@y.example") == {}
    told = await wait_for(reports, lambda told: bool(told["messages"]))
    (envelope,) = told["messages"]
    assert envelope["sender"] == ""
    assert envelope["recipients"] == ["b+token@relay.example"]

    report = message_from_bytes(await asyncio.to_thread(get, reports, "/messages/0"))
    assert report.get_content_type() == "multipart/report"
    parts = report.get_payload()
    assert isinstance(parts, list)
    _, status, header = parts
    assert isinstance(status, Message)
    groups = status.get_payload()
    assert isinstance(groups, list)
    assert isinstance(groups[1], Message)
    assert groups[1]["Status"] == "5.1.1"
    assert groups[1]["Final-Recipient"] == "rfc822; gone@y.example"
    assert isinstance(header, Message)
    assert "Subject: x" in str(header.get_payload())
