"""Mailbox addresses: what is read, what is refused, and what counts as the same mailbox."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.address import Address, InvalidAddress, domain_of, normal_form


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        ("a@b.example", "a", "b.example"),
        ("Jo.Do+tag@Example.COM", "Jo.Do+tag", "example.com"),  # only the domain loses its case
        ("!#$%&'*+/=?^_`{|}~-@b.example", "!#$%&'*+/=?^_`{|}~-", "b.example"),
        ("user%foreign.example@b.example", "user%foreign.example", "b.example"),  # no percent hack
        ("root@localhost", "root", "localhost"),
        ("a@xn--mnchen-3ya.example", "a", "xn--mnchen-3ya.example"),
        ('"john smith"@b.example', '"john smith"', "b.example"),
        ('"a@b"@c.example', '"a@b"', "c.example"),  # the last @ divides
        (r'"a\"b"@c.example', r'"a\"b"', "c.example"),
        ('""@c.example', '""', "c.example"),
        ("a..b@c.example", '"a..b"', "c.example"),  # two dots travel in quotes
        (".a@c.example", '".a"', "c.example"),
        ("a.@c.example", '"a."', "c.example"),
        ("ü..@c.example", '"ü.."', "c.example"),
        ("jürgen@b.example", "jürgen", "b.example"),
        ("a@MÜNCHEN.example", "a", "münchen.example"),
        ("a@\u0915\u094d\u200d\u0937.example", "a", "\u0915\u094d\u200d\u0937.example"),
        ("a@bücher。example", "a", "bücher.example"),  # an ideographic full stop is a dot (UTS 46)
        ("a@[192.0.2.1]", "a", "[192.0.2.1]"),
        ("a@[ipv6:2001:DB8:0::1]", "a", "[IPv6:2001:db8::1]"),
        ("l" * 64 + "@b.example", "l" * 64, "b.example"),
        ("a@" + "d" * 63 + ".example", "a", "d" * 63 + ".example"),
    ],
)
def test_reads(text: str, local: str, domain: str) -> None:
    assert Address(local, domain) == Address.parse(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it has no @"),
        ("nobody", "it has no @"),
        ("@b.example", "nothing stands before the @"),
        ("a@", "nothing stands after the @"),
        ("a b@c.example", "its local part would have to be quoted"),
        ("a@b@c.example", "its local part would have to be quoted"),
        ("@a.example,@b.example:c@d.example", "its local part would have to be quoted"),  # a route
        ("<a@b.example>", "its local part would have to be quoted"),
        ('"a@b.example', "its quoted local part is malformed"),
        ('"a"b"@c.example', "its quoted local part is malformed"),
        ("a\n@b.example", "it holds the control character U+000A"),
        ("a\x00@b.example", "it holds the control character U+0000"),
        ("a\u2028b@c.example", "it holds the invisible character U+2028 (LINE SEPARATOR)"),
        ("a\udcff@b.example", "it holds the invisible character U+DCFF"),
        ("a@b.example\n", "it holds the control character U+000A"),
        ("a@b\u00adc.example", "it holds the invisible character U+00AD (SOFT HYPHEN)"),
        ("a@b..example", "its domain is malformed"),
        ("a@-b.example", "its domain is malformed"),
        ("a@b-.example", "its domain is malformed"),
        ("a@b.example.", "its domain is malformed"),
        ("a@b。", "its domain is malformed"),
        ("a@bü。", "its domain is malformed"),
        ("a@b_c.example", "its domain is malformed"),
        ("a@" + "d" * 64 + ".example", "its domain is malformed"),
        ("a@\u2603\u0301\ufe0f.example", "its domain is not a valid internationalized name"),
        ("a@b\udcff.example", "it holds the invisible character U+DCFF"),
        ("a@[192.0.2.256]", "its address literal is malformed"),
        ("a@[192.0.2.1", "its address literal is malformed"),
        ("a@[IPv6:nothing]", "its address literal is malformed"),
        ("a@[IPv6:fe80::1%eth0]", "its address literal is malformed"),
        ("a@[IPv6:fe80::1%\r\nX: y]", "its address literal is malformed"),
        ("l" * 65 + "@b.example", "its local part has 65 octets, 64 are allowed"),
        ("ü" * 33 + "@b.example", "its local part has 66 octets, 64 are allowed"),
        ("a@" + "d" * 62 + ".e" * 126, "it is longer than 254 octets"),
        ("l" * 60 + "@" + ".".join(["ü" * 50] * 4), "it is longer than 254 octets"),
    ],
)
def test_refuses_and_says_what_was_seen(text: str, why: str) -> None:
    with pytest.raises(InvalidAddress) as refusal:
        Address.parse(text)

    message = str(refusal.value)
    assert message.endswith(f" is not a mail address: {why}")
    assert message.startswith(ascii(text[:20]).rstrip("'\""))
    assert message.isascii()
    assert message.isprintable()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a@EXAMPLE.com", "a@example.com"),
        ('"a"@b.example', "a@b.example"),
        (r'"\a.b"@b.example', "a.b@b.example"),
        ('"a..b"@b.example', "a..b@b.example"),
        ("a@[IPv6:0:0::1]", "a@[ipv6:::1]"),
        ("a@BÜCHER.example", "a@bücher.example"),
    ],
)
def test_two_spellings_of_one_mailbox_are_equal(one: str, other: str) -> None:
    assert Address.parse(other) == Address.parse(one)


def test_text_is_what_goes_on_the_wire() -> None:
    assert str(Address.parse("Jo@Example.COM")) == "Jo@example.com"
    assert str(Address.parse('"a b"@c.example')) == '"a b"@c.example'


def test_an_internationalized_domain_has_a_name_in_dns() -> None:
    assert Address.parse("a@münchen.example").ascii_domain == "xn--mnchen-3ya.example"
    assert Address.parse("a@b.example").ascii_domain == "b.example"


def test_knows_what_needs_smtputf8_and_what_is_a_literal() -> None:
    assert Address.parse("a@b.example").is_ascii
    assert not Address.parse("ä@b.example").is_ascii
    assert not Address.parse("a@bü.example").is_ascii
    assert Address.parse("a@[192.0.2.1]").is_literal
    assert not Address.parse("a@b.example").is_literal


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Ann@Dest.Example", "ann@dest.example"),
        ("Jörg@Bücher.example", "jörg@xn--bcher-kva.example"),
        ("jörg@XN--BCHER-KVA.example", "jörg@xn--bcher-kva.example"),
        ('"ann"@dest.example', "ann@dest.example"),
        ('"A b"@dest.example', '"a b"@dest.example'),
        ("ann@[IPv6:0:0::1]", "ann@[IPv6:::1]"),
        ("No Address", "no address"),
    ],
)
def test_lists_compare_addresses_in_their_normal_form(text: str, normal: str) -> None:
    assert normal == normal_form(text)
    assert normal == normal_form(normal)


def test_domain_of_a_stored_address() -> None:
    assert domain_of('"a@b"@C.example') == "c.example"
    with pytest.raises(InvalidAddress):
        domain_of("nobody")


def test_a_long_refused_address_is_not_quoted_whole() -> None:
    with pytest.raises(InvalidAddress) as refusal:
        Address.parse("x" * 100_000)
    assert len(str(refusal.value)) < 200


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but InvalidAddress ever comes out, and what was read reads back as itself."""
    try:
        address = Address.parse(text)
    except InvalidAddress:
        return
    assert Address.parse(str(address)) == address


@given(st.from_regex(r"[a-z\"\\. \xe4@]{1,8}@[a-z.\-\[\]\xfc\xdf\u3002]{1,8}", fullmatch=True))
def test_almost_addresses_are_read_or_refused(text: str) -> None:
    try:
        address = Address.parse(text)
    except InvalidAddress:
        return
    assert Address.parse(str(address)) == address
