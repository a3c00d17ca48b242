"""Pixels and links over HTTP: what is answered, what is noted, and that nothing leads elsewhere."""

import random
from collections.abc import AsyncIterator

import pytest

from posthouse.mail.events import EventKind
from posthouse.tracking.token import ClickToken, OpenToken, UnsubscribeToken, sign
from servers.tracking_server import (
    COPY,
    KEYS,
    SET,
    TrackingAnswer,
    TrackingPort,
    click_path,
    open_path,
    tracking_port,
)
from tracking.tracked_paths import PIXEL

SHOP = "https://shop.example/a?b=c"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.fixture
async def port() -> AsyncIterator[TrackingPort]:
    async with tracking_port() as port:
        port.targets.sets[SET] = (
            SHOP,
            "https://shop.example/b",
            "javascript:alert(1)",
            "a\r\nb: c",
        )
        yield port


def is_private(answer: TrackingAnswer) -> bool:
    fields = answer.fields
    return (
        "no-store" in fields["cache-control"]
        and fields["referrer-policy"] == "no-referrer"
        and "noindex" in fields["x-robots-tag"]
        and "server" not in fields
        and "set-cookie" not in fields
    )


async def test_the_pixel_is_an_image_and_noted(port: TrackingPort) -> None:
    answer = await port.ask(open_path(), User_Agent="Some/1.0 \x85")
    assert (200, "image/gif", PIXEL) == (answer.status, answer.fields["content-type"], answer.body)
    assert (43, b"GIF89a") == (len(PIXEL), PIXEL[:6])
    assert is_private(answer)
    (visit,) = port.visits
    assert (EventKind.OPENED, COPY, None, "") == (
        visit.kind, visit.delivery_id, visit.link, visit.target
    )  # fmt: skip
    assert ("127.0.0.1", "Some/1.0 \ufffd", False, False) == (
        visit.client, visit.agent, visit.is_head, visit.is_prefetch
    )  # fmt: skip


async def test_a_link_leads_to_its_target_and_is_noted(port: TrackingPort) -> None:
    answer = await port.ask(click_path(1) + "?utm_source=x&url=https://evil.example/")
    assert (302, "https://shop.example/b", b"") == (
        answer.status, answer.fields["location"], answer.body
    )  # fmt: skip
    assert is_private(answer)
    (visit,) = port.visits
    assert (EventKind.CLICKED, COPY, 1, "https://shop.example/b") == (
        visit.kind, visit.delivery_id, visit.link, visit.target
    )  # fmt: skip


async def test_tokens_of_an_old_key_go_on(port: TrackingPort) -> None:
    assert SHOP == (await port.ask(click_path(key=KEYS[1]))).fields["location"]
    assert 200 == (await port.ask(open_path(key=KEYS[1]))).status


async def test_what_is_no_token_shows_the_pixel_and_leads_nowhere(port: TrackingPort) -> None:
    others = [
        "",
        "x",
        "../c/x",
        sign(UnsubscribeToken(COPY), KEYS[0]),
        sign(ClickToken(COPY, SET, 99), KEYS[0]),
        sign(ClickToken(COPY, b"9876543210", 0), KEYS[0]),
        sign(ClickToken(COPY, SET, 2), KEYS[0]),
        sign(ClickToken(COPY, SET, 3), KEYS[0]),
        click_path()[3:] + "/",
        click_path()[3:] + "%0d%0aLocation:%20https://evil.example/",
    ]
    for letters in [*others, sign(OpenToken(COPY), KEYS[0])]:
        answer = await port.ask(f"/c/{letters}")
        assert (404, None) == (answer.status, answer.fields.get("location")), letters
        assert b"This link leads nowhere" in answer.body
        assert is_private(answer)
    for letters in [*others, sign(ClickToken(COPY, SET, 0), KEYS[0])]:
        answer = await port.ask(f"/o/{letters}")
        assert (404, PIXEL) == (answer.status, answer.body), letters
    assert [] == port.visits


async def test_a_token_with_one_letter_changed_leads_nowhere(port: TrackingPort) -> None:
    chance = random.Random(7)  # noqa: S311
    paths = []
    for n in range(1_000):
        letters = list(sign(ClickToken(COPY, SET, n % 2), KEYS[n % 2]))
        at = chance.randrange(len(letters))
        letters[at] = chance.choice(LETTERS.replace(letters[at], ""))
        paths.append(f"/c/{''.join(letters)}")
    answers = await port.ask_all([*paths, click_path()])
    assert [404] * 1_000 + [302] == [answer.status for answer in answers]
    assert not any("location" in answer.fields for answer in answers[:-1])
    assert [COPY] == [visit.delivery_id for visit in port.visits]


async def test_HEAD_is_answered_like_GET_and_noted_as_such(port: TrackingPort) -> None:
    answer = await port.ask(click_path(), "HEAD")
    assert (302, SHOP, b"") == (answer.status, answer.fields["location"], answer.body)
    answer = await port.ask(open_path(), "HEAD")
    assert (200, "43", b"") == (answer.status, answer.fields["content-length"], answer.body)
    assert [True, True] == [visit.is_head for visit in port.visits]


@pytest.mark.parametrize(
    "field",
    [{"Sec_Purpose": "prefetch;prerender"}, {"Purpose": "Prefetch"}, {"X_Moz": "prefetch"}],
)
async def test_what_says_that_it_is_a_prefetch_is_noted_as_such(
    port: TrackingPort, field: dict[str, str]
) -> None:
    await port.ask(click_path(), **field)
    assert [True] == [visit.is_prefetch for visit in port.visits]


async def test_other_methods_and_paths_are_refused(port: TrackingPort) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
        for path in (open_path(), click_path()):
            answer = await port.ask(path, method)
            assert (405, "GET, HEAD") == (answer.status, answer.fields["allow"])
    for path in ("/", "/c", "/o", "/C/x", "/x/y", "//c/x", "/%63/" + click_path()[3:], "/.env"):
        answer = await port.ask(path)
        assert (404 if path[:2] != "/%" else 302) == answer.status, path
        assert is_private(answer)


async def test_while_the_target_is_not_known_a_person_hears_so(port: TrackingPort) -> None:
    port.targets.is_away = True
    answer = await port.ask(click_path())
    assert (503, "60", None) == (
        answer.status, answer.fields["retry-after"], answer.fields.get("location")
    )  # fmt: skip
    assert b"try again in a few minutes" in answer.body
    assert [] == port.visits
    assert 200 == (await port.ask(open_path())).status


async def test_only_a_named_proxy_says_who_the_client_is() -> None:
    told = {"X_Forwarded_For": "203.0.113.9, 198.51.100.7, 127.0.0.2"}
    async with tracking_port() as port:
        await port.ask(open_path(), **told)
        assert ["127.0.0.1"] == [visit.client for visit in port.visits]
    async with tracking_port(proxies=("127.0.0.0/8",)) as port:
        for field in (
            told,
            {"X_Forwarded_For": "nonsense, 127.0.0.2"},
            {"X_Forwarded_For": "::ffff:192.0.2.1"},
            {},
        ):
            await port.ask(open_path(), **field)
        expected = ["198.51.100.7", "127.0.0.2", "192.0.2.1", "127.0.0.1"]
        assert expected == [visit.client for visit in port.visits]
