"""How lists of domains and addresses are read where an operator sets a knob."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command.account_profiles import knobs_in
from posthouse.mail.address import Address, InvalidAddress
from posthouse.profiles import InvalidOverride, resolve


def knob(name: str, given_: object) -> object:
    return getattr(resolve("mailup", overrides={f"sender.{name}": given_}).sender, name)


@pytest.mark.parametrize(
    ("given_", "domains"),
    [
        ("yourCompany.com;yourOtherCompany.com", ("yourcompany.com", "yourothercompany.com")),
        ("marketing.yourCompany.com", ("marketing.yourcompany.com",)),
        (" a.example ; ;b.example.;a.EXAMPLE", ("a.example", "b.example")),
        ("bücher.example", ("xn--bcher-kva.example",)),
        (["B.example", "b.example"], ("b.example",)),
        ("", ()),
        ([], ()),
    ],
)
def test_U13_domains_are_separated_by_semicolons(given_: object, domains: tuple[str, ...]) -> None:
    assert domains == knob("authorized_domains", given_)


@pytest.mark.parametrize(
    ("given_", "addresses"),
    [
        (
            "info@yourCompany.com;sales@yourCompany.com;John.Smith@yourCompany.com",
            ("info@yourcompany.com", "sales@yourcompany.com", "john.smith@yourcompany.com"),
        ),
        ('"jo"@a.example; jo@A.example', ("jo@a.example",)),
        (["jo@bücher.example"], ("jo@xn--bcher-kva.example",)),
    ],
)
def test_U14_senders_are_separated_by_semicolons(
    given_: object, addresses: tuple[str, ...]
) -> None:
    assert addresses == knob("authorized_senders", given_)


@pytest.mark.parametrize(
    ("name", "given_", "error"),
    [
        ("authorized_domains", "a.example, b.example", "'a.example, b.example' is not a domain"),
        ("authorized_domains", "jo@a.example", "'jo@a.example' is not a domain, as a.example"),
        ("authorized_domains", 3, "3 is no list, and no text with a semicolon"),
        ("authorized_domains", [3], "3 is not a text"),
        ("authorized_senders", "@a.example", "'@a.example' is not an address"),
        ("authorized_senders", "a.example", "'a.example' is not a mail address: it has no @"),
        ("signed_by", "a.example", "'a.example' is not a mail address: it has no @"),
        ("signed_by", "@a.example", "'@a.example' is not an address"),
        ("signed_by", None, "None is not an address"),
    ],
)
def test_U13_U14_an_entry_that_cannot_be_says_what_is_allowed(
    name: str, given_: object, error: str
) -> None:
    with pytest.raises(InvalidOverride, match=rf"sender\.{name}: {error}"):
        knob(name, given_)


@given(st.lists(st.text(), max_size=4).map(";".join))
def test_U13_U14_what_is_read_is_lower_case_without_controls(text: str) -> None:
    for name in ("authorized_domains", "authorized_senders"):
        try:
            read = knob(name, text)
        except InvalidOverride:
            continue
        assert isinstance(read, tuple)
        for entry in read:
            assert entry.isprintable()
            assert entry.rpartition("@")[2].isascii()
            assert knob(name, [entry]) == (entry,)


def test_C14_signed_by_is_kept_as_it_is_written() -> None:
    profile = resolve("critsend", overrides={"sender.signed_by": "Foo@bar.example"})
    assert profile.sender.signed_by == "Foo@bar.example"
    with pytest.raises(InvalidAddress):
        Address.parse(resolve("critsend").sender.signed_by)


def test_U13_U14_an_operator_writes_semicolons() -> None:
    given_ = ("sender.authorized_domains=A.example;b.example", "sender.authorized_senders=")
    sender = resolve("mailup", overrides=knobs_in(given_)).sender
    assert sender.authorized_domains == ("a.example", "b.example")
    assert sender.authorized_senders == ()
