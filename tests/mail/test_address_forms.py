r"""What the one reader of addresses makes of every form that RFC 5321 and RFC 5322 speak of.

The groups are those that testers of addresses usually tell apart: valid, valid but unusual, with
comments and folds, obsolete, valid only in a header, too long, and invalid. Two columns say what is
read in a header field and between the angle brackets of MAIL and RCPT: "=" is the text as it
stands, "-" is a refusal. Folds are gone by then: a field is unfolded before it is read.
"""

from collections.abc import Callable

import pytest

from posthouse.mail.address import Address, InvalidAddress
from posthouse.mail.mailbox import address_list, mailboxes

LONG = "l" * 64
LABEL = "d" * 63

# text, in a header field, in an envelope
VALID = [
    ("jo@a.example", "=", "="),
    ("J@a.example", "=", "="),
    ("jo.doe@a.example", "=", "="),
    ("jo.m.doe@a.b.c.example", "=", "="),
    ("1234567890@a.example", "=", "="),
    ("jo+news@a.example", "=", "="),
    ("jo-doe@a-b.example", "=", "="),
    ("!#$%&`*/=?^`{|}~'_@a.example", "=", "="),
    ("--@a.example", "=", "="),
    ("jo@a--b.example", "=", "="),
    ("jo@A.Example", "jo@a.example", "jo@a.example"),
    ("jo@xn--bcher-kva.example", "=", "="),
    ("jo@1a.example", "=", "="),
    (f"{LONG}@a.example", "=", "="),
    (f"jo@{LABEL}.example", "=", "="),
    ("jörg@a.example", "=", "="),
    ("jörg@bücher.example", "=", "="),
    ("用户@例え.example", "=", "="),
]
UNUSUAL = [
    ("jo@example", "=", "="),  # a top-level domain
    ("jo@a.123", "=", "="),  # that is a number
    ('"jo"@a.example', "jo@a.example", "jo@a.example"),  # quotes that are not needed
    ('""@a.example', "=", "="),
    ('"jo doe"@a.example', "=", "="),
    ('" "@a.example', "=", "="),
    ('"jo@x"@a.example', "=", "="),
    ('"jo,(x);<y>"@a.example', "=", "="),
    (r'"jo\"doe"@a.example', "=", "="),
    (r'"jo\\"@a.example', "=", "="),
    (r'"\j\o"@a.example', "jo@a.example", "jo@a.example"),
    ('"jörg k"@a.example', "=", "="),
    ("jo@[192.0.2.1]", "=", "="),
    ("jo@[IPv6:2001:db8:1:2:3:4:5:6]", "=", "="),
    ("jo@[IPv6:2001:db8::6]", "=", "="),
    ("jo@[IPv6:::]", "=", "="),
    ("jo@[IPv6:::6]", "=", "="),
    ("jo@[IPv6:2001:DB8:0:0::6]", "jo@[IPv6:2001:db8::6]", "jo@[IPv6:2001:db8::6]"),
    ("jo@[IPv6:::ffff:192.0.2.1]", "jo@[IPv6:::ffff:c000:201]", "jo@[IPv6:::ffff:c000:201]"),
    # Dots that no dot-atom may have: what some providers gave out arrives in quotes.
    ("jo..doe@a.example", '"jo..doe"@a.example', '"jo..doe"@a.example'),
    (".jo@a.example", '".jo"@a.example', '".jo"@a.example'),
    ("jo.@a.example", '"jo."@a.example', '"jo."@a.example'),
    ("...@a.example", '"..."@a.example', '"..."@a.example'),
    ('"jo..doe"@a.example', "=", "="),
]
WITH_COMMENTS = [
    ("(Jo)jo@a.example", "jo@a.example", "-"),
    ("jo@a.example(Jo)", "jo@a.example", "-"),
    ("jo@a.example (Jo)", "jo@a.example", "-"),
    ("(a (b (c)))jo@a.example", "jo@a.example", "-"),
    (r"(a \) b)jo@a.example", "jo@a.example", "-"),
    ("(x@x.example)jo@a.example", "jo@a.example", "-"),
    (" jo@a.example", "jo@a.example", "-"),
    ("jo@a.example\t ", "jo@a.example", "-"),
    ("<jo@a.example>", "jo@a.example", "-"),
    ("(a)<(b)jo@a.example(c)>(d)", "jo@a.example", "-"),
    (f"({'c' * 900})jo@a.example", "jo@a.example", "-"),
]
OBSOLETE = [
    ("jo(Jo)@a.example", "jo@a.example", "-"),
    ("jo@(at)a.example", "jo@a.example", "-"),
    ("jo @ a.example", "jo@a.example", "-"),
    ("jo . doe @a.example", "jo.doe@a.example", "-"),
    ("jo .(x) doe@a.example", "jo.doe@a.example", "-"),
    ('"jo".doe@a.example', "jo.doe@a.example", "-"),
    ('"jo"."doe"@a.example', "jo.doe@a.example", "-"),
    ('jo."d e"@a.example', '"jo.d e"@a.example', "-"),
    (r'jo . "d\"e" @ a.example', r'"jo.d\"e"@a.example', "-"),
    ('"jo" .\t"doe"@a.example', "jo.doe@a.example", "-"),
    ("jo@a . example", "jo@a.example", "-"),
    ("jo@a.(x)example", "jo@a.example", "-"),
    ("<@x.example,@y.example:jo@a.example>", "jo@a.example", "-"),  # a source route
]
NOT_FOR_US = [  # grammar of RFC 5322 that no mail server can do anything with
    ("jo@[anything at all]", "-", "-"),
    ("jo@[192.0.2]", "-", "-"),
    ("jo@[192.0.2.256]", "-", "-"),
    ("jo@[192.0.2.1.1]", "-", "-"),
    ("jo@[192.0.02.1]", "-", "-"),
    ("jo@[2001:db8::6]", "-", "-"),  # without its tag
    ("jo@[IPv6:2001:db8:1:2:3:4:5]", "-", "-"),
    ("jo@[IPv6:2001:db8:1:2:3:4:5:6:7]", "-", "-"),
    ("jo@[IPv6:2001:db8::5::6]", "-", "-"),
    ("jo@[IPv6:2001:db8:::6]", "-", "-"),
    ("jo@[IPv6:2001:db8::g]", "-", "-"),
    ("jo@[IPv6::2001:db8::6]", "-", "-"),
    ("jo@[IPv6:2001:db8::6:]", "-", "-"),
    ("jo@[IPv6:fe80::1%2]", "-", "-"),
    ("jo@[tag:anything]", "-", "-"),
    (r"jo@[192.0.2.\1]", "-", "-"),
]
TOO_LONG = [
    (f"{LONG}l@a.example", "-", "-"),
    (f'"{LONG}"@a.example', f"{LONG}@a.example", f"{LONG}@a.example"),
    (f'"{LONG[2:]} "@a.example', "-", "-"),
    (f"jo@{LABEL}d.example", "-", "-"),
    (f"{LONG}@{LABEL}.{LABEL}.{'d' * 61}", "=", "="),  # 254 octets
    (f"{LONG}@{LABEL}.{LABEL}.{'d' * 62}", "-", "-"),
    ("jo@" + "d." * 127 + "example", "-", "-"),
    ("ü" * 32 + "@a.example", "=", "="),
    ("ü" * 33 + "@a.example", "-", "-"),
]
INVALID = [
    ("", "-", "-"),
    (" ", "-", "-"),
    ("jo", "-", "-"),
    ("@", "-", "-"),
    ("jo@", "-", "-"),
    ("@a.example", "-", "-"),
    ("@a.example:", "-", "-"),
    ("jo@@a.example", "-", "-"),
    ("jo@b@a.example", "-", "-"),
    ("jo doe@a.example", "-", "-"),
    ("jo(x)doe@a.example", "-", "-"),
    ('"jo"doe@a.example', "-", "-"),
    ('jo"doe"@a.example', "-", "-"),
    ('"jo""doe"@a.example', "-", "-"),
    ('"jo@a.example', "-", "-"),
    ('jo"@a.example', "-", "-"),
    ('"jo\\"@a.example', "-", "-"),
    ('"@a.example', "-", "-"),
    ("jo\\@x@a.example", "-", "-"),
    ("jo\\", "-", "-"),
    ("(jo@a.example", "-", "-"),
    ("jo@a.example)", "-", "-"),
    ("(jo\\)@a.example", "-", "-"),
    ("jo@a.example(\\", "-", "-"),
    ("<jo@a.example", "-", "-"),
    ("jo@a.example>", "-", "-"),
    ("<jo@a.example>>", "-", "-"),
    ("<<jo@a.example>", "-", "-"),
    ("<jo@a.example>x", "-", "-"),
    ("[jo]@a.example", "-", "-"),
    ("jo,@a.example", "-", "-"),
    ("jo@a..example", "-", "-"),
    ("jo@.a.example", "-", "-"),
    ("jo@a.example.", "-", "-"),
    ("jo@-a.example", "-", "-"),
    ("jo@a-.example", "-", "-"),
    ("jo@a.-example", "-", "-"),
    ("jo@a_b.example", "-", "-"),
    ("jo@a!example", "-", "-"),
    ("jo@a example", "-", "-"),
    ('jo@"a.example"', "-", "-"),
    ("jo@[192.0.2.1", "-", "-"),
    ("jo@192.0.2.1]", "-", "-"),
    ("jo@[192.0.2.1]x", "-", "-"),
    ("jo@[[192.0.2.1]]", "-", "-"),
    ("jo@[]", "-", "-"),
    ("jo\r\n@a.example", "-", "-"),
    ("jo@a.example\r\n", "-", "-"),
    ("jo\0@a.example", "-", "-"),
    ('"jo\0"@a.example', "-", "-"),
    ('"jo\r\nx"@a.example', "-", "-"),
    ("jo\x7f@a.example", "-", "-"),
    ("jo@a\u00ad\u200b.example", "-", "-"),
    ("jo@\u2603\u0301\ufe0f.example", "-", "-"),
    ("jo@xn--a-\x80.example", "-", "-"),
    ("jo\ud800@a.example", "-", "-"),
]
ALL = [*VALID, *UNUSUAL, *WITH_COMMENTS, *OBSOLETE, *NOT_FOR_US, *TOO_LONG, *INVALID]


def outcome(read: Callable[[str], str], text: str) -> str:
    try:
        return read(text)
    except InvalidAddress:
        return "-"


def only(text: str) -> str:
    (found,) = address_list(text) or (None,)
    return str(found.address) if found else "-"


@pytest.mark.parametrize(("text", "header", "envelope"), ALL)
def test_each_form_is_read_as_its_standard_says(text: str, header: str, envelope: str) -> None:
    assert (text if header == "=" else header) == outcome(only, text)
    assert (text if envelope == "=" else envelope) == outcome(lambda t: str(Address.parse(t)), text)


@pytest.mark.parametrize(("text", "header"), [(text, header) for text, header, _ in ALL])
def test_an_author_is_read_alike_or_refused(text: str, header: str) -> None:
    """Refused are a source route and blanks in a domain, which readers differ about."""
    seen = outcome(lambda t: str(mailboxes(t)[0].address), text)
    assert seen in {text if header == "=" else header, "-"}
    if seen == "-" != header:
        assert text.startswith("<@") or any(mark in text.rpartition("@")[2] for mark in " (")


def test_what_is_read_is_read_again_as_itself_in_both_places() -> None:
    for text, header, _ in ALL:
        if header != "-":
            read = text if header == "=" else header
            assert (read, read) == (only(read), str(Address.parse(read)))
