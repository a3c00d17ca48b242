"""Requests go to the public internet only, however a URL is written (FAULTS 3.4)."""

import asyncio
import socket
from collections.abc import AsyncIterator
from ipaddress import IPv4Network, IPv6Network

import pytest
import pytest_asyncio

from webhooks.core.public_address import may_be_called
from webhooks.http_post import HttpPost, PostResult

REFUSED = (
    *(
        "0.0.0.0",  # noqa: S104 -- nothing listens
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "127.0.0.1",
        "127.9.9.9",
    ),
    *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1"),
    *("192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:169.254.169.254"),
    *("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1"),
    *("2001:db8::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "3fff::1", "5f00::1", "fc00::1"),
    *("fd00:ec2::254", "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1", "", "name", "127.1"),
)
PUBLIC = (
    *("1.1.1.1", "8.8.8.8", "172.32.0.1", "192.0.1.1", "223.255.255.255", "100.128.0.1"),
    *("2606:4700::1111", "2a00:1450::1", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"),
)
# {port}: of a listener on 127.0.0.1 and ::1.
URLS = (
    *("http://127.0.0.1:{port}/", "http://127.1:{port}/", "http://127.0.1:{port}/"),
    *("http://2130706433:{port}/", "http://0x7f000001:{port}/", "http://0x7f.1:{port}/"),
    *("http://0177.0.0.1:{port}/", "http://017700000001:{port}/", "http://127.0.0.1.:{port}/"),
    *("http://0:{port}/", "http://0.0.0.0:{port}/", "http://localhost:{port}/"),
    *("http://localhost.:{port}/", "http://LOCALHOST:{port}/", "http://ip6-localhost:{port}/"),
    *("http://[::1]:{port}/", "http://[::]:{port}/", "http://[::ffff:127.0.0.1]:{port}/"),
    *("http://[::ffff:7f00:1]:{port}/", "http://[0:0:0:0:0:0:0:1]:{port}/"),
    *("http://[::127.0.0.1]:{port}/", "http://[64:ff9b::127.0.0.1]:{port}/"),
    *("http://[::1%25lo]:{port}/", "http://[fe80::1%25lo]:{port}/", "http://127.9.9.9:{port}/"),
    *(
        "http://\uff11\uff12\uff17.0.0.1:{port}/",
        "http://127\u30020\u30020\u30021:{port}/",
        "http://\u24dbocalhost:{port}/",
    ),
    *("http://127.0.0.1:{port}\\@one.example/", "http://one.example@127.0.0.1:{port}/"),
    *("http://one.example:80@127.0.0.1:{port}/", "http://127.0.0.1:{port}#@one.example/"),
    *("http://127.0.0.1:{port}?@one.example/", "http://one.example#@127.0.0.1:{port}/"),
    *("https://127.0.0.1:{port}/", "https://localhost:{port}/", "https://[::1]:{port}/"),
    *("http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://10.0.0.1/"),
    *("http://192.168.0.1/", "http://172.16.0.1/", "http://100.64.0.1/", "http://[fc00::1]/"),
    *("file:///etc/passwd", "ftp://127.0.0.1:{port}/", "gopher://127.0.0.1:{port}/"),
    *("unix:///tmp/x", "http:127.0.0.1:{port}", "http:///127.0.0.1:{port}", "//127.0.0.1:{port}/"),
    *("127.0.0.1:{port}", "", "http://", "http://:{port}/", "https://", "data:,x"),
    *("http://127.0.0.1:{port}\r\nHost: x/", "http://127.0.0.1 :{port}/", "http://\t127.1:{port}/"),
)


@pytest.mark.parametrize("address", REFUSED)
def test_what_is_not_of_the_public_internet_is_refused(address: str) -> None:
    assert not may_be_called(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_the_public_internet_may_be_called(address: str) -> None:
    assert may_be_called(address)


def test_what_the_operator_allows_may_be_called_in_every_form() -> None:
    allowed = (IPv4Network("10.1.0.0/16"), IPv6Network("fd00::/8"))
    forms = ("10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "fd00::1")
    assert [True] * 4 == [may_be_called(form, allowed) for form in forms]
    assert not may_be_called("10.2.0.1", allowed)


@pytest_asyncio.fixture
async def canary() -> AsyncIterator[tuple[int, list[object]]]:
    """Listens on the loopback addresses, and remembers who connects."""
    seen: list[object] = []

    def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peername"))
        writer.close()

    first = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = first.sockets[0].getsockname()[1]
    others = [await asyncio.start_server(connected, "::1", port)] if _has_six() else []
    yield port, seen
    for server in (first, *others):
        server.close()


def _has_six() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_no_way_of_writing_a_url_leads_to_this_machine(
    canary: tuple[int, list[object]],
) -> None:
    port, seen = canary
    async with HttpPost(seconds=2.0, allow_http=True) as post:
        urls = [url.format(port=port) for url in URLS]
        posted = await asyncio.gather(*(post.send(url, {}, b"[]") for url in urls))
        assert len(URLS) >= 60
        assert [] == [u for u, p in zip(urls, posted, strict=True) if p.status is not None]
        assert PostResult.FORBIDDEN == posted[0].result
        assert (
            PostResult.FORBIDDEN == (await post.send(f"http://localhost:{port}/", {}, b"")).result
        )
    assert [] == seen
    async with HttpPost(
        seconds=2.0, allow_http=True, allowed=(IPv4Network("127.0.0.0/8"),)
    ) as post:
        await post.send(urls[0], {}, b"[]")
    assert seen, "the canary would have seen it"


async def test_without_leave_of_the_operator_there_is_no_request_in_clear() -> None:
    async with HttpPost(seconds=2.0, allowed=(IPv4Network("127.0.0.0/8"),)) as post:
        assert PostResult.FORBIDDEN == (await post.send("http://127.0.0.1:9/", {}, b"")).result
