"""Static routes, sites, and addresses in brackets."""

import pytest

from dispatcher.core.relay_login import RelayLogin
from dispatcher.core.routes import TlsPolicy, address_in_literal, site_of
from dispatcher.core.static_routes import InvalidRoute, NextHop, StaticRoutes


def parsed(text: str) -> StaticRoutes:
    """With files that hold their own name as a secret."""
    return StaticRoutes.parse(text, lambda path: f"secret of {path}")


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
    assert hop == parsed(text).hop_for("anything.example")


def test_a_domain_of_its_own_comes_before_the_smarthost() -> None:
    routes = parsed("smart.example:26, Example.COM=[10.0.0.1]:25  b.example=mx.b")

    assert routes.hop_for("example.com") == NextHop("10.0.0.1", 25, has_mx=False)
    assert routes.hop_for("b.example") == NextHop("mx.b", 25, has_mx=True)
    assert routes.hop_for("sub.example.com") == NextHop("smart.example", 26, has_mx=False)


def test_routes_are_shown_as_they_can_be_written() -> None:
    routes = parsed("smart.example:26 b.example=mx.b c.example=[2001:db8::1]:26")

    assert str(routes) == "[smart.example]:26, b.example=mx.b, c.example=[2001:db8::1]:26"
    assert routes == parsed(str(routes))


def test_without_routes_dns_is_asked() -> None:
    assert parsed("").hop_for("example.com") is None


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
        parsed(text)


LOGIN = RelayLogin("apikey", "secret of /run/relay")
WITH_LOGIN = "relay.example:587;user=apikey;secret_file=/run/relay"


@pytest.mark.parametrize(
    ("text", "tls", "login"),
    [
        (WITH_LOGIN, TlsPolicy.VERIFIED, LOGIN),
        (WITH_LOGIN.replace("587", "465"), TlsPolicy.IMPLICIT, LOGIN),
        (f"{WITH_LOGIN};tls=implicit", TlsPolicy.IMPLICIT, LOGIN),
        (f"{WITH_LOGIN};tls=clear", TlsPolicy.CLEAR, LOGIN),
        (WITH_LOGIN.replace("587", "465;tls=verified"), TlsPolicy.VERIFIED, LOGIN),
        ("relay.example:465", TlsPolicy.IMPLICIT, None),
        ("relay.example:25", TlsPolicy.OPPORTUNISTIC, None),
        ("relay.example:25;tls=required", TlsPolicy.REQUIRED, None),
        ("partner.example;tls=required", TlsPolicy.REQUIRED, None),
        ("[2001:db8::1]:25;tls=verified", TlsPolicy.VERIFIED, None),
    ],
)
def test_a_login_implies_verified_tls_and_port_465_implicit(
    text: str, tls: TlsPolicy, login: RelayLogin | None
) -> None:
    hop = parsed(text).smarthost
    assert hop is not None
    assert (tls, login) == (hop.tls, hop.login)
    assert hop == parsed(str(hop)).smarthost


def test_each_domain_may_have_a_login_of_its_own() -> None:
    routes = parsed(f"example.com={WITH_LOGIN},relay.example:25;tls=clear")

    assert routes.by_domain["example.com"].login == LOGIN
    assert routes.smarthost is not None
    assert (routes.smarthost.login, routes.smarthost.tls) == (None, TlsPolicy.CLEAR)
    assert routes == parsed(str(routes))


def test_a_user_may_hold_what_divides_routes() -> None:
    hop = parsed("r:587;user=a%2Cb%20c%3Bd%25@relay.example;secret_file=/x=y").smarthost

    assert hop is not None
    assert hop.login == RelayLogin("a,b c;d%@relay.example", "secret of /x=y")
    assert hop == parsed(str(hop)).smarthost


def test_what_is_shown_of_a_route_holds_no_secret() -> None:
    routes = parsed(WITH_LOGIN)

    assert str(routes) == "[relay.example]:587;user=apikey;secret_file=/run/relay"
    assert "secret of" not in repr(routes)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"{WITH_LOGIN};tls=required", "with a login tls is verified or implicit or clear"),
        (f"{WITH_LOGIN};tls=opportunistic", "with a login tls is verified or implicit or clear"),
        (WITH_LOGIN.replace(":587", ""), "needs a host with its port"),
        ("relay.example;tls=verified", "needs a host with its port"),
        ("relay.example;tls=implicit", "needs a host with its port"),
        ("relay.example:587;user=apikey", "belong together"),
        ("relay.example:587;secret_file=/run/relay", "belong together"),
        ("r:587;tls=ssl", "tls is one of clear, opportunistic, required, verified, implicit"),
        ("r:587;password=hunter2", "'password' is none of user, secret_file, tls"),
        ("r:587;", "'' is none of user"),
        ("r:587;user=", "user is to be given once, with a value"),
        ("r:587;tls=clear;tls=required", "tls is to be given once"),
        ("r:587;user=a%00b;secret_file=x", "holds no NUL"),
    ],
)
def test_options_that_make_no_sense_are_explained(text: str, complaint: str) -> None:
    with pytest.raises(InvalidRoute, match=complaint) as caught:
        parsed(text)
    assert "hunter2" not in str(caught.value)


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
