"""Static routes, and what DNS answers mean."""

import pytest

from dispatcher.core.refused_hosts import RefusedHosts
from dispatcher.core.routes import (
    AddressAnswer,
    Addresses,
    Exchangers,
    InvalidRoute,
    LookupFailed,
    MailExchanger,
    NextHop,
    NoRecords,
    NoSuchName,
    StaticRoutes,
    address_in_literal,
    addresses_of,
    hosts_in_order,
    site_of,
    without_exchangers,
)
from posthouse.mail.outcome import Bounced, Deferred
from posthouse.mail.scope import Scope

OURS = RefusedHosts(frozenset({"relay.example"}))


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


def mx(*records: tuple[int, str]) -> Exchangers:
    return Exchangers(tuple(MailExchanger(*record) for record in records))


@pytest.mark.parametrize(
    ("answer", "hosts"),
    [
        (mx((10, "a.example")), ("a.example",)),
        (mx((20, "b.example"), (10, "a.example")), ("a.example", "b.example")),
        (mx((10, "b.example"), (10, "a.example")), ("b.example", "a.example")),
        (mx((10, "a.example"), (20, "a.example")), ("a.example",)),
        # Only what is better than ourselves (RFC 5321 section 5.1).
        (mx((5, "a.example"), (10, "relay.example"), (10, "b.example")), ("a.example",)),
        (mx((10, "a.example"), (20, "relay.example"), (30, "b.example")), ("a.example",)),
        # A null MX among others is a mistake, and no reason to bounce.
        (mx((0, ""), (10, "a.example")), ("a.example",)),
    ],
)
def test_hosts_in_order(answer: Exchangers, hosts: tuple[str, ...]) -> None:
    assert hosts == hosts_in_order("mx.example", answer, OURS)


def test_a_null_mx_bounces_without_blaming_the_mailbox() -> None:
    outcome = hosts_in_order("mx.example", mx((0, "")), OURS)

    assert isinstance(outcome, Bounced)
    assert (outcome.reply.enhanced, outcome.scope) == ("5.1.10", Scope.SITE)


def test_mail_that_would_come_back_to_us_waits() -> None:
    outcome = hosts_in_order("mx.example", mx((10, "relay.example"), (20, "b.example")), OURS)

    assert isinstance(outcome, Deferred)
    assert (outcome.reply.enhanced, outcome.scope) == ("4.4.6", Scope.SITE)


@pytest.mark.parametrize(
    ("answer", "own", "enhanced"),
    [
        (NoSuchName(), NoSuchName(), "5.1.2"),
        # One lookup alone never bounces.
        (NoSuchName(), NoRecords(), "4.4.3"),
        (NoRecords(), NoSuchName(), "4.4.3"),
        (NoRecords(), NoRecords(), "4.4.3"),
        (NoSuchName(), LookupFailed("timed out"), "4.4.3"),
        (NoRecords(), LookupFailed("SERVFAIL"), "4.4.3"),
    ],
)
def test_only_a_name_that_surely_does_not_exist_bounces(
    answer: NoSuchName | NoRecords, own: AddressAnswer, enhanced: str
) -> None:
    outcome = without_exchangers("mx.example", answer, own, OURS)

    assert isinstance(outcome, Bounced if enhanced == "5.1.2" else Deferred)
    assert isinstance(outcome, Bounced | Deferred)
    assert (enhanced, Scope.SITE) == (outcome.reply.enhanced, outcome.scope)


@pytest.mark.parametrize("answer", [NoSuchName(), NoRecords()])
def test_a_domain_with_an_address_is_its_own_exchanger(answer: NoSuchName | NoRecords) -> None:
    own = Addresses(("192.0.2.1",))

    assert without_exchangers("mx.example", answer, own, OURS) == ("mx.example",)
    assert isinstance(without_exchangers("relay.example", answer, own, OURS), Deferred)


@pytest.mark.parametrize(
    ("addresses", "others"),
    [
        (("192.0.2.1",), ("192.0.2.1",)),
        (("127.0.0.1", "192.0.2.1"), ("192.0.2.1",)),
        (("192.0.2.1", "2001:db8::1"), ("192.0.2.1", "2001:db8::1")),
    ],
)
def test_never_to_ourselves(addresses: tuple[str, ...], others: tuple[str, ...]) -> None:
    assert others == addresses_of("mx.example", Addresses(addresses), OURS)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::"])  # noqa: S104
def test_an_exchanger_that_is_this_machine_is_a_loop(address: str) -> None:
    outcome = addresses_of("mx.example", Addresses((address, "::ffff:127.0.0.1")), OURS)

    assert isinstance(outcome, Deferred)
    assert outcome.reply.enhanced == "4.4.6"


def test_the_operator_may_mean_this_machine() -> None:
    assert addresses_of("localhost", Addresses(("127.0.0.1",))) == ("127.0.0.1",)


@pytest.mark.parametrize("answer", [NoSuchName(), NoRecords(), LookupFailed("SERVFAIL")])
def test_a_host_without_address_is_deferred(answer: AddressAnswer) -> None:
    assert isinstance(addresses_of("mx.example", answer, OURS), Deferred)


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
