"""An endpoint is not trusted: what it answers costs little, and leads nowhere."""

import ssl
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest_asyncio
import trustme
from aiohttp import web

from servers.webhook_sink import WebhookSink, webhook_sink
from servers.webhooking import LOOPBACK
from webhooks.http_post import HttpPost, PostResult


@pytest_asyncio.fixture
async def sink() -> AsyncIterator[WebhookSink]:
    async with webhook_sink() as found:
        yield found


def a_post(seconds: float = 5.0) -> HttpPost:
    return HttpPost(seconds=seconds, allow_http=True, allowed=LOOPBACK)


async def test_a_redirect_is_an_answer(sink: WebhookSink) -> None:
    sink.answer = lambda _number, _path: 307
    sink.answer_fields = {"Location": sink.url("/elsewhere"), "Set-Cookie": "a=b"}
    async with a_post() as post:
        assert [307, 307] == [(await post.send(sink.url(), {}, b"x")).status for _ in range(2)]
    assert ["/hook", "/hook"] == [request.path for request in sink.requests]
    assert not any("cookie" in request.fields for request in sink.requests)


async def test_a_long_answer_is_not_read(sink: WebhookSink) -> None:
    sink.answer_body = bytes(64 << 20)
    async with a_post() as post:
        posted = await post.send(sink.url(), {}, b"x")
    assert (PostResult.ANSWERED, 200) == (posted.result, posted.status)


async def test_a_silent_endpoint_has_as_long_as_it_has(sink: WebhookSink) -> None:
    sink.answer = lambda _number, _path: None
    async with a_post(seconds=1.0) as post:
        assert PostResult.TIMED_OUT == (await post.send(sink.url(), {}, b"x")).result


async def test_what_an_endpoint_asks_for_is_read(sink: WebhookSink) -> None:
    sink.answer = lambda _number, _path: 429
    async with a_post() as post:
        for given, expected in (("30", timedelta(seconds=30)), ("soon", None), ("9" * 9, None)):
            sink.answer_fields = {"Retry-After": given}
            assert expected == (await post.send(sink.url(), {}, b"x")).asked


async def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    runner = web.AppRunner(web.Application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    async with a_post() as post:
        posted = await post.send(f"https://127.0.0.1:{runner.addresses[0][1]}/", {}, b"x")
    await runner.cleanup()
    assert PostResult.TLS_FAILED == posted.result
