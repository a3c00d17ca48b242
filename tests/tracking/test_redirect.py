"""Targets in Location: only the web, and nothing that could be more than one field."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.tracking.redirect import MOST_OCTETS, location


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("https://shop.example/a?b=c&d=%20#e", b"https://shop.example/a?b=c&d=%20#e"),
        ("HTTP://Shop.Example", b"HTTP://Shop.Example"),
        (" https://shop.example/ ", b"https://shop.example/"),
        ("https://shop.example/a b", b"https://shop.example/a%20b"),
        ("https://shop.example/schön?ö=ß", b"https://shop.example/sch%C3%B6n?%C3%B6=%C3%9F"),
        ("https://bücher.example/x", b"https://xn--bcher-kva.example/x"),
        ("https://shop.example/\u212a", b"https://shop.example/%E2%84%AA"),  # folds to "k"
        ("http\u017f://shop.example/", None),  # folds to "s"
        ("https://me@bücher.example:81/", b"https://me@xn--bcher-kva.example:81/"),
        ("https://[2001:db8::1]/", b"https://[2001:db8::1]/"),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("ftp://shop.example/", None),
        ("//shop.example/", None),
        ("/a", None),
        ("", None),
        ("https://", None),
        ("https:///shop.example", None),
        ("https:shop.example", None),
        ("https://\\shop.example", None),
        ("https://shop.example/\r\nSet-Cookie: a=b", None),
        ("https://shop.example/\n", None),
        ("https://shop.example/\tx", None),
        ("https://shop.example/\x00", None),
        ("https://shop.example/\x85x", None),
        ("https://sh op.example/", None),
        ("https://" + "ä" * 100 + ".example/", None),
        ("https://shop.example/" + "a" * MOST_OCTETS, None),
    ],
)
def test_targets(target: str, expected: bytes | None) -> None:
    assert expected == location(target)


@given(st.text(max_size=40), st.sampled_from(["", "https://", "https://a.example/"]))
def test_what_is_led_to_is_one_line_of_ascii(rest: str, begin: str) -> None:
    found = location(begin + rest)
    assert found is None or re.fullmatch(rb"(?i)https?://[!-~]+", found)
