"""Alignment itself, by the examples of RFC 7489 and its words."""

import pytest

from verifiers.alignment import are_aligned, passes


@pytest.mark.parametrize(
    ("one", "other", "aligned"),
    [
        ("example.com", "example.com", True),
        ("example.com", "news.example.com", True),  # appendix B.1.2
        ("a.example.com", "B.Example.COM.", True),
        ("example.com", "sample.net", False),  # appendix B.1.1
        ("example.com", "example.net", False),
        ("one.co.uk", "two.co.uk", False),  # they share a public suffix only
        ("mail.one.co.uk", "one.co.uk", True),
        ("co.uk", "one.co.uk", False),
        ("notexample.com", "example.com", False),
    ],
)
def test_domains_are_aligned_by_their_organizational_domain(
    one: str, other: str, *, aligned: bool
) -> None:
    assert aligned == are_aligned(one, other)
    assert aligned == are_aligned(other, one)


def test_one_aligned_identifier_is_enough_and_none_is_not() -> None:
    message = b"From: Shop <news@shop.example>\r\nSender: x@relay.example\r\n\r\nHello.\r\n"

    assert passes(message, spf=["relay.example"], dkim=["shop.example"])
    assert passes(message, spf=["bounce.shop.example"], dkim=[])
    assert not passes(message, spf=["relay.example"], dkim=["relay.example"])
    assert not passes(message, spf=[], dkim=[])


def test_a_message_of_several_authors_or_none_does_not_pass() -> None:
    two = b"From: a@shop.example, b@shop.example\r\n\r\n"
    twice = b"From: a@shop.example\r\nFrom: b@shop.example\r\n\r\n"

    for message in (two, twice, b"Subject: none\r\n\r\n"):
        assert not passes(message, spf=["shop.example"], dkim=["shop.example"])
