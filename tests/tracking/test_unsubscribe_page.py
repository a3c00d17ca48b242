"""What the page to unsubscribe shows, and what a POST to it asks for."""

import re
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from html.parser import HTMLParser
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.subscription import Subscription
from tracking.core.language import Language
from tracking.core.unsubscribe_choice import UnsubscribeChoice, choice_in
from tracking.core.unsubscribe_page import (
    CONTENT_SECURITY_POLICY,
    DeadEnd,
    masked,
    page_of_dead_end,
    page_of_left,
    page_of_return,
    page_that_asks,
)

ONE = Subscription(
    UUID(int=1), UUID(int=2), UUID(int=3), "ann@dest.example", "shop@sender.example", "", ("",)
)
LEFT = replace(ONE, left=frozenset({""}), revocable_until=datetime(2026, 3, 9, 12, tzinfo=UTC))


class Outline(HTMLParser):
    """The elements of a page, and its text; every element has to be closed in its turn."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Of any element."""
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Of the last one that is open."""
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        """Of text."""
        if "style" not in self.open:
            self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each such element."""
        return [attributes for name, attributes in self.elements if name == tag]


def pages(one: Subscription, language: Language) -> list[str]:
    return [
        page_that_asks(one, language),
        page_of_left(replace(one, revocable_until=LEFT.revocable_until), language),
        page_of_left(one, language),
        page_of_return(one, language),
        *(page_of_dead_end(why, language) for why in DeadEnd),
    ]


@pytest.mark.parametrize("language", Language)
def test_every_page_is_whole_in_every_language(language: Language) -> None:
    """One language, one heading that is the title, no script, nothing from elsewhere."""
    titles = set()
    for page in pages(replace(ONE, scopes=("tag:a", "stream:b")), language):
        outline = Outline(page)
        assert [{"lang": language.value}] == outline.named("html")
        assert 1 == len(outline.named("h1")) == len(outline.named("main"))
        (title,) = re.findall("<title>(.*)</title>", page)
        assert f"<h1>{title}</h1>" in page
        titles.add(title)
        assert not {"script", "img", "link", "iframe", "a"} & {tag for tag, _ in outline.elements}
        assert not re.search(r"https?:|\bon\w+=|\{|style=", page.partition("</style>")[2])
        (style,) = re.findall("<style>(.*)</style>", page, re.DOTALL)
        digest = b64encode(sha256(style.encode()).digest()).decode()
        assert f"style-src 'sha256-{digest}'" in CONTENT_SECURITY_POLICY
    assert 7 == len(titles)


def test_the_page_names_sender_messages_and_a_masked_address() -> None:
    one = replace(ONE, author_name="Jo's <b>Shop</b>", scopes=("tag:in&voice",))
    outline = Outline(page_that_asks(one, Language.ENGLISH))
    assert "Jo's <b>Shop</b> (sender.example)" in outline.text
    assert "messages of the kind “in&voice”" in outline.text
    assert "a***@dest.example" in outline.text
    assert "ann" not in outline.text
    assert [] == outline.named("b")
    assert "sender.example" in Outline(page_that_asks(ONE, Language.ENGLISH)).text
    assert "alle Nachrichten dieses Absenders" in page_that_asks(ONE, Language.GERMAN)


def test_all_may_be_left_where_a_part_is_asked_about() -> None:
    part = Outline(page_that_asks(replace(ONE, scopes=("stream:news",)), Language.ENGLISH))
    (box,) = part.named("input")
    assert ("checkbox", "everything", "yes") == (box["type"], box["name"], box["value"])
    assert "checked" not in box
    assert part.open == [] != part.named("label")
    assert [] == Outline(page_that_asks(ONE, Language.ENGLISH)).named("input")


def test_the_way_back_is_shown_while_there_is_one() -> None:
    assert "2026-03-09" in page_of_left(LEFT, Language.FRENCH)
    assert 'value="resubscribe"' in page_of_left(LEFT, Language.FRENCH)
    assert "<form" not in page_of_left(replace(LEFT, revocable_until=None), Language.FRENCH)


def test_an_address_is_masked() -> None:
    assert "a***@dest.example" == masked("ann@dest.example")
    assert "a***@dest.example" == masked("a@dest.example")
    assert '"***@dest.example' == masked('"a@b"@dest.example')


URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=xyz"
ONE_CLICK = (
    b'--xyz\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\n'
    b"One-Click\r\n--xyz--\r\n"
)
NONSENSE = (
    b'--xyz\r\nContent-Disposition: form-data; name="a"\r\n'
    b'Content-Type: text/plain; charset="a\0b"\r\n\r\n\xff\r\n--xyz--\r\n'
)


@pytest.mark.parametrize(
    ("media_type", "body", "choice"),
    [
        (URLENCODED, b"List-Unsubscribe=One-Click", UnsubscribeChoice.ONE_CLICK),
        (
            URLENCODED + "; charset=utf-8",
            b"list-unsubscribe=one-click",
            UnsubscribeChoice.ONE_CLICK,
        ),
        ("", b"List-Unsubscribe=One-Click\r\n", UnsubscribeChoice.ONE_CLICK),
        (MULTIPART, ONE_CLICK, UnsubscribeChoice.ONE_CLICK),
        (URLENCODED, b"action=unsubscribe", UnsubscribeChoice.LEAVE),
        (URLENCODED, b"everything=yes&action=unsubscribe", UnsubscribeChoice.LEAVE_EVERYTHING),
        (URLENCODED, b"everything=yes", None),
        (URLENCODED, b"action=resubscribe", UnsubscribeChoice.RETURN),
        (URLENCODED, b"", None),
        (URLENCODED, b"List-Unsubscribe=yes", None),
        (URLENCODED, b"a=1&" * 50 + b"action=unsubscribe", None),
        ("multipart/form-data", ONE_CLICK, None),
        (MULTIPART, ONE_CLICK[:40], None),
        (MULTIPART, NONSENSE, None),
        ("application/json", b'{"action": "unsubscribe"}', None),
    ],
)
def test_only_what_the_page_and_RFC8058_offer_is_a_choice(
    media_type: str, body: bytes, choice: UnsubscribeChoice | None
) -> None:
    assert choice is choice_in(media_type, body)


@given(st.sampled_from((URLENCODED, MULTIPART, "multipart/form-data; boundary=")), st.binary())
def test_no_body_makes_it_raise(media_type: str, body: bytes) -> None:
    assert choice_in(media_type, body) is None


@given(st.text(), st.text(), st.sampled_from(Language))
def test_no_name_breaks_out_of_the_page(name: str, tag: str, language: Language) -> None:
    one = replace(ONE, author_name=name, recipient=f"{tag}@{name}", scopes=(f"tag:{tag}",))
    expected = Outline(page_that_asks(replace(ONE, scopes=("tag:a",)), language))
    found = Outline(page_that_asks(one, language))
    assert [e for e in expected.elements if e[0] != "bdi"] == [
        e for e in found.elements if e[0] != "bdi"
    ]
