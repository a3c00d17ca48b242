"""`posthouse webhook`, against a real database and a real service."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from click.testing import CliRunner
from standardwebhooks.webhooks import Webhook

from command.commands.webhook import webhook
from posthouse.mail.secret import Purpose, derive
from servers.posthouse_command import Run
from servers.stores import open_stores
from servers.webhook_sink import webhook_sink
from servers.webhooking import Webhooked

Command: TypeAlias = Callable[..., Run]
KEY = derive(bytes(range(32)), Purpose.WEBHOOK_SECRETS)
IN_CLEAR = {"POSTHOUSE_WEBHOOK_ALLOW_HTTP": "true"}


async def test_an_endpoint_from_its_beginning_to_its_end(posthouse: Command, database: str) -> None:
    async with open_stores(database) as stores, webhook_sink() as sink:
        hooked = Webhooked(stores, sink)

        async def run(*arguments: str, **more: Any) -> str:
            done = await asyncio.to_thread(posthouse, "webhook", *arguments, **more)
            return done.stdout + done.stderr

        added = await run(
            *("add", sink.url(), "--account", "shop", "--kind", "message.delivered", "--json"),
            *("--basic-auth", "u:p", "--header", "X-Team: 7"),
            **IN_CLEAR,
        )
        made = json.loads(added)
        id_ = made["id"]
        async with hooked.telling(key=KEY):
            assert "taken: HTTP 200 after" in await run("test", id_)
            request = sink.requests[0]
            told = Webhook(made["secret"]).verify(request.body, request.fields)
            assert ["webhook-test"] == told["data"][0]["tags"]
            assert "Basic dTpw" == request.fields["authorization"]
            again = (await run("rotate", id_, "--keep", "1h")).split()[-1]
            await hooked.send()
            await hooked.sink.has(3)
            for secret in (made["secret"], again):
                request = sink.requests[-1]
                Webhook(secret).verify(request.body, request.fields)
            sink.answer = lambda _number, _path: 500
            assert "refused: HTTP 500" in await run("test", id_, status=1)
            assert "is paused" in await run("pause", id_)
        shown = json.loads(await run("show", id_, "--json"))
        assert ("paused", "by an operator") == (shown["state"], shown["paused_for"])
        listed = await run("deliveries", id_)
        assert "taken: HTTP 200" in listed
        assert "tried at once" in await run("resume", id_)
        await run("edit", id_, "--all-kinds", "--note", "of the shop", "--no-headers")
        shown = json.loads(await run("list", "--json"))[0]
        assert ([], "of the shop", False) == (shown["kinds"], shown["note"], shown["has_headers"])
        await run("remove", id_)
        assert "there is no endpoint" in await run("show", id_, status=1)
        audit = {row["action"] for row in await stores.sql("SELECT action FROM audit")}
        assert {"webhook add", "webhook rotate", "webhook pause", "webhook remove"} <= audit


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("http://a.example/",), "https://"),
        (("https://u:p@a.example/",), "no user"),
        (("https://a.example/#x",), "no fragment"),
        (("https:///x",), "a host"),
        (("https://a.example/", "--kind", "lost"), "no kind of event"),
        (("https://a.example/", "--header", "Host: x"), "not a header field"),
        (("https://a.example/", "--header", "X"), "NAME:VALUE"),
        (("https://a.example/", "--every", "2h"), "more than an hour"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_refused(arguments: tuple[str, ...], says: str) -> None:
    """Before a database is asked."""
    done = CliRunner().invoke(webhook, ["add", *arguments])
    assert 2 == done.exit_code
    assert says in " ".join(done.output.replace("│", " ").split())
