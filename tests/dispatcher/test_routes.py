"""Static routes, sites, and addresses in brackets."""

import pytest

from dispatcher.core.routes import (
    InvalidRoute,
    NextHop,
    StaticRoutes,
    address_in_literal,
    site_of,
)


@pytest.mark.parametrize(
    ("text", "hop"),
    [
        ("127.0.0.1:2600", NextHop("127.0.0.1", 2600, has_mx=False)),
        ("10.0.0.1", NextHop("10.0.0.1", 25, has_mx=False)),
        ("[10.0.0.1]:26", NextHop("10.0.0.1", 26, has_mx=False)),
        ("[Relay.Example]", NextHop("relay.example", 25, has_mx=False)),
        ("relay.example:587", NextHop("relay.example", 587, has_mx=False)),
        ("sink", NextHop("sink", 25, has_mx=True)),
        ("relay.example", NextHop("relay.example", 25, has_mx=True)),
        ("[2001:db8::1]:26", NextHop("2001:db8::1", 26, has_mx=False)),
        ("[IPv6:2001:db8::1]", NextHop("2001:db8::1", 25, has_mx=False)),
    ],
)
def test_a_lone_entry_takes_every_domain(text: str, hop: NextHop) -> None:
    assert hop == StaticRoutes.parse(text).hop_for("anything.example")


def test_a_domain_of_its_own_comes_before_the_smarthost() -> None:
    routes = StaticRoutes.parse("smart.example:26, Example.COM=[10.0.0.1]:25  b.example=mx.b")

    assert routes.hop_for("example.com") == NextHop("10.0.0.1", 25, has_mx=False)
    assert routes.hop_for("b.example") == NextHop("mx.b", 25, has_mx=True)
    assert routes.hop_for("sub.example.com") == NextHop("smart.example", 26, has_mx=False)


def test_routes_are_shown_as_they_can_be_written() -> None:
    routes = StaticRoutes.parse("smart.example:26 b.example=mx.b c.example=[2001:db8::1]:26")

    assert str(routes) == "[smart.example]:26, b.example=mx.b, c.example=[2001:db8::1]:26"
    assert routes == StaticRoutes.parse(str(routes))


def test_without_routes_dns_is_asked() -> None:
    assert StaticRoutes.parse("").hop_for("example.com") is None


@pytest.mark.parametrize(
    "text",
    [
        "host:",
        "host:0",
        "host:65536",
        "host:smtp",
        "=host",
        "a=b=c",
        "example.com=",
        "[host",
        "ho st:25:",
        "2001:db8::1",
        "one two",
        "a=x,a=y",
        "-host",
        "ho\x00st",
    ],
)
def test_a_route_that_cannot_be_understood_is_quoted_back(text: str) -> None:
    with pytest.raises(InvalidRoute):
        StaticRoutes.parse(text)


@pytest.mark.parametrize(
    ("hosts", "site"),
    [
        (("aspmx.l.google.com", "alt1.aspmx.l.google.com"), "google.com"),
        (("contoso-com.mail.protection.outlook.com",), "outlook.com"),
        (("mx1.bbc.co.uk",), "bbc.co.uk"),
        (("mx.example.de", "backup.other.net"), "example.de+other.net"),
        (("localhost",), "localhost"),
        (("example.de",), "example.de"),
        (("t-online.de", "mx00.t-online.de"), "t-online.de"),
        (("192.0.2.1",), "192.0.2.1"),
        (("2001:db8::1",), "2001:db8::1"),
    ],
)
def test_site_of(hosts: tuple[str, ...], site: str) -> None:
    assert site == site_of(hosts)


@pytest.mark.parametrize(
    ("domain", "address"),
    [
        ("[192.0.2.1]", "192.0.2.1"),
        ("[IPv6:2001:db8::1]", "2001:db8::1"),
        ("[ipv6:2001:db8::1]", "2001:db8::1"),
        ("[tag:what]", None),
        ("mx.example", None),
    ],
)
def test_address_in_literal(domain: str, address: str | None) -> None:
    assert address == address_in_literal(domain)
