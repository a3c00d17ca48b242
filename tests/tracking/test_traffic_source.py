"""The traffic source of a link."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.tracking.traffic_source import with_source

SHOP = "https://shop.example"


@pytest.mark.parametrize(
    ("link", "written"),
    [
        (SHOP, f"{SHOP}?utm_source=invite1"),
        (f"{SHOP}/a?b=c", f"{SHOP}/a?b=c&utm_source=invite1"),
        (f"{SHOP}/a?b=%20c&", f"{SHOP}/a?b=%20c&utm_source=invite1"),
        (f"{SHOP}/a?", f"{SHOP}/a?utm_source=invite1"),
        (f"{SHOP}/a?utm_medium=mail#top", f"{SHOP}/a?utm_medium=mail&utm_source=invite1#top"),
        (f"{SHOP}/#a?utm_source=x", f"{SHOP}/?utm_source=invite1#a?utm_source=x"),
        ("HTTP://shop.example/", "HTTP://shop.example/?utm_source=invite1"),
    ],
)
def test_the_tag_of_a_message_is_the_source_of_its_links(link: str, written: str) -> None:
    assert written == with_source(link, "invite1")


@pytest.mark.parametrize(
    "link",
    [
        f"{SHOP}?utm_source=own",
        f"{SHOP}?a=b&UTM_Source=own&c=d",
        f"{SHOP}?a=b;utm_source=",
        "mailto:jo@a.example",
        "tel:+49",
        "#top",
        "",
    ],
)
def test_a_source_of_its_own_is_not_overwritten(link: str) -> None:
    assert link == with_source(link, "invite1")


def test_without_a_source_links_stay() -> None:
    assert with_source(SHOP, "") == SHOP


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_no_source_breaks_a_link(source: str) -> None:
    written = urlsplit(with_source(f"{SHOP}/a?b=c#d", source))
    assert parse_qsl(written.query, keep_blank_values=True) == [("b", "c"), ("utm_source", source)]
    assert (written.netloc, written.path, written.fragment) == ("shop.example", "/a", "d")
