"""Mailboxes in header fields: what is read and refused, and that hostile fields cost little."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.address import Address, InvalidAddress
from posthouse.mail.encoded_words import decoded
from posthouse.mail.mailbox import Mailbox, address_list, mailboxes

SPECIALS = 'ab@.,<>()"\\ :;[]'


@pytest.mark.parametrize("read", [mailboxes, address_list])
@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("jo@a.example", [("jo@a.example", "")]),
        ("<jo@a.example>", [("jo@a.example", "")]),
        ("Jo Doe <jo@a.example>", [("jo@a.example", "Jo Doe")]),
        ("Jo<jo@a.example>", [("jo@a.example", "Jo")]),
        ('"Doe, Jo" <jo@a.example>', [("jo@a.example", "Doe, Jo")]),
        (r'"Jo \"x@x.example\"" <jo@a.example>', [("jo@a.example", 'Jo "x@x.example"')]),
        ('"x@x.example <y@y>" <jo@a.example>', [("jo@a.example", "x@x.example <y@y>")]),
        ('Jo "the Great" Doe <jo@a.example>', [("jo@a.example", "Jo the Great Doe")]),
        ("J. R. Doe <jo@a.example>", [("jo@a.example", "J. R. Doe")]),
        ("Doe, Jo <jo@a.example>", [("jo@a.example", "Doe, Jo")]),
        (r"Jo \(x\) <jo@a.example>", [("jo@a.example", "Jo (x)")]),
        ("Jörg <jo@a.example>", [("jo@a.example", "Jörg")]),
        ("=?utf-8?q?J=C3=B6rg?= Doe <jo@a.example>", [("jo@a.example", "Jörg Doe")]),
        ('"=?utf-8?q?J=C3=B6rg?=" <jo@a.example>', [("jo@a.example", "Jörg")]),
        ("=?utf-8?q?x=40x.example?= <jo@a.example>", [("jo@a.example", "x@x.example")]),
        ("jo@a.example <jo@a.example>", [("jo@a.example", "jo@a.example")]),
        ("JO@a.example <jo@A.example>", [("jo@a.example", "JO@a.example")]),
        ("jo@a.example (Jo (the first))", [("jo@a.example", "Jo (the first)")]),
        (r'jo@a.example (Jo "\)")', [("jo@a.example", 'Jo ")"')]),
        (r"(a \) comment) Jo (x@x.example) <jo@a.example> (end)", [("jo@a.example", "Jo")]),
        ('"(no comment" <jo@a.example>', [("jo@a.example", "(no comment")]),
        (r'"\"(" <jo@a.example> ()', [("jo@a.example", '"(')]),
        ("< jo@a.example (Jo) >", [("jo@a.example", "")]),
        ("jo@a.example, Al <al@b.example>", [("jo@a.example", ""), ("al@b.example", "Al")]),
        ('<"a,b@c"@a.example>', [('"a,b@c"@a.example', "")]),
        ('"jo doe"@a.example', [('"jo doe"@a.example', "")]),
        ("Jo <jo@bücher.example>", [("jo@bücher.example", "Jo")]),
        ("Jo <jo@xn--bcher-kva.example>", [("jo@xn--bcher-kva.example", "Jo")]),
        ("jo@[192.0.2.1]", [("jo@[192.0.2.1]", "")]),
        ("jo@a.example,", [("jo@a.example", "")]),
        (", ,Jo <jo@a.example>,;", [("jo@a.example", "Jo")]),
        ("jo@a.example ; ", [("jo@a.example", "")]),
        ("<jo@[IPv6:::2]>, al@[IPv6:::1]", [("jo@[IPv6:::2]", ""), ("al@[IPv6:::1]", "")]),
    ],
)  # fmt: skip
def test_reads_addresses_and_names(read: object, value: str, found: list[tuple[str, str]]) -> None:
    assert callable(read)
    assert [(str(each.address), each.name) for each in read(value)] == found


@pytest.mark.parametrize("read", [mailboxes, address_list])
@pytest.mark.parametrize(
    "value",
    [
        "Jo",
        "Jo, Al",
        "<jo@a.example> x@x.example",
        "<jo@a.example> <x@x.example>",
        "x@x.example <jo@a.example",
        "jo@a.example>",
        "jo@a.example x@x.example",
        "victim@bank.example <me@ok.example>",  # some take the first address they see
        "info@x.example, jo@x.example <jo@a.example>",
        "victim @ bank.example <me@ok.example>",
        r"victim\@bank.example <me@ok.example>",
        "jo@x.example@a.example",
        '"jo <jo@a.example>',
        '"x@x.example", jo@a.example',
        'a "b" c@a.example',
        "(jo@a.example",
        "jo@a.example x.example",
        "jo doe@a.example",
        'jo"doe"@a.example',
        '"jo"..doe@a.example',
        r"jo@a.example (x\)",
        "jo@a.example) (",
        "<<jo@a.example>>",
        "<>",
        "<jo>",
        "<jo@a.example\x00>",
        "\\",
    ],
)
def test_refuses_what_can_be_read_in_two_ways(read: object, value: str) -> None:
    assert callable(read)
    with pytest.raises(InvalidAddress):
        read(value)


@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        ("", []),
        (",;", []),
        ("undisclosed-recipients:;", []),
        ("undisclosed recipients:", []),
        ("group: jo@a.example, Al <al@b.example>;", ["jo@a.example", "al@b.example"]),
        ("A: jo@a.example;, x@x.example, B:;", ["jo@a.example", "x@x.example"]),
        ("jo@a.example; al@b.example;", ["jo@a.example", "al@b.example"]),
        ("<@x.example:jo@a.example>", ["jo@a.example"]),
        ("Jo <@x.example, @y.example : jo@a.example>", ["jo@a.example"]),
        ("jo@a.example .x.example", ["jo@a.example.x.example"]),  # some read jo@a.example
        ("jo@a.example(.com).x.example", ["jo@a.example.x.example"]),
    ],
)
def test_lists_may_hold_groups_and_routes_or_nothing_but_an_author_may_not(
    value: str, addresses: list[str]
) -> None:
    assert addresses == [str(each.address) for each in address_list(value)]
    with pytest.raises(InvalidAddress):
        mailboxes(value)


@pytest.mark.parametrize("value", ["jo@a.example: al@b.example;", "<@x.example jo@a.example>"])
def test_groups_and_routes_that_are_none(value: str) -> None:
    with pytest.raises(InvalidAddress):
        address_list(value)


def test_a_refused_field_is_quoted_but_not_all_of_it() -> None:
    with pytest.raises(InvalidAddress) as caught:
        mailboxes("x@x.example " + "ö" * 1_000 + " <jo@a.example>")
    assert str(caught.value).isascii()
    assert len(str(caught.value)) < 700


def test_a_mailbox_keeps_its_phrase_as_written() -> None:
    (found,) = mailboxes('"Doe, Jo" <jo@a.example>')
    assert Mailbox(Address("jo", "a.example"), '"Doe, Jo"') == found


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=?utf-8?B?SsO2?= =?utf-8?B?cmc=?=", "Jörg"),
        ("=?UTF-8?b?SsM=?= =?utf-8?B?tg==?=", "Jö"),  # a character divided between two words
        ("=?iso-8859-1?Q?J=F6rg_Doe?= (x)", "Jörg Doe (x)"),
        ("=?iso-8859-1*de?Q?J=F6rg?=", "Jörg"),
        ("=?utf-8?Q?a?= b =?utf-8?Q?c?=", "a b c"),
        ("=?utf-8?Q?a?= =?iso-8859-1?Q?=F6?=", "aö"),
        ("=?utf-8?B?SsO2?", "=?utf-8?B?SsO2?"),
        ("=?utf-8?X?SsO2?=", "=?utf-8?X?SsO2?="),
        ("=?utf-8?B?A?=", "A"),  # not base64
        ("=?nonsense?Q?J=F6?=", "J\ufffd"),
        ("=?rot13?Q?abc?=", "abc"),
        ("=?punycode?Q?abc?=", "abc"),
        ("=?utf-8?Q?a=0D=0ABcc:_x?=", "a\ufffd\ufffdBcc: x"),  # ends no header line
        ("a\tb", "a\ufffdb"),
    ],
)
def test_encoded_words(text: str, shown: str) -> None:
    assert shown == decoded(text)


@given(st.text(SPECIALS))
def test_a_field_gives_addresses_or_is_refused(value: str) -> None:
    with contextlib.suppress(InvalidAddress):
        assert mailboxes(value)
    with contextlib.suppress(InvalidAddress):
        assert all(each.name.isprintable() for each in address_list(value))


@given(st.text(SPECIALS))
def test_what_is_read_strictly_is_read_alike_leniently(value: str) -> None:
    """But for colons and semicolons, which are separators only there."""
    value = value.translate({ord(":"): None, ord(";"): None})
    with contextlib.suppress(InvalidAddress):
        assert mailboxes(value) == address_list(value)


@given(
    st.text()
    | st.lists(st.sampled_from(["=?", "utf-8", "?Q?", "?B?", "?=", "=41", "é", " "])).map("".join)
)
def test_no_encoded_word_breaks_the_reading(text: str) -> None:
    assert decoded(text).isprintable()


@pytest.mark.parametrize(
    "value",
    ["(" * 200_000, '"' + '\\"' * 100_000, "<" + "@x," * 60_000, "a," * 100_000, "[" * 200_000,
     "a" + " " * 200_000 + "a", " ." * 100_000, '"".' * 20_000, "()" * 60_000,
     '"a" ' * 60_000, ":;" * 60_000, "\\" * 199_999, "=?utf-8?q?" * 20_000,
     "<" + "@x," * 60_000 + ":jo@a.example>"],
    ids=lambda value: value[:10],
)  # fmt: skip
def test_a_hostile_field_costs_one_pass(value: str) -> None:
    """In quadratic time these would take hours; the limit of a test is five minutes."""
    for read in (mailboxes, address_list):
        with contextlib.suppress(InvalidAddress):
            read(f"{value} <jo@a.example>")
        with contextlib.suppress(InvalidAddress):
            read(value)
    decoded(value)
