"""What MAIL says about a message with 8-bit octets (RFC 6152, RFC 6531)."""

import pytest

from dispatcher.core.envelope import Envelope, Unsendable, commands
from dispatcher.core.second_look import Unconfirmed

ALL = {"8BITMIME": "", "SMTPUTF8": "", "SIZE": "0"}
UTF8 = "Received: from a by relay.example\r\n with {} id 1; today\r\nFrom: jürgen@a.example\r\n\r\n"
ASKED = UTF8.format("UTF8SMTPSA").encode()
NOT_ASKED = UTF8.format("ESMTPSA").encode()
LATIN_1 = ASKED.replace("ü".encode(), b"\xfc")


def mail(header: bytes, extensions: dict[str, str], recipient: str = "x@mx.example") -> str:
    return commands(Envelope("s@relay.example", (recipient,), header, b"hi\r\n"), extensions)[0][1]


@pytest.mark.parametrize(
    ("header", "declared"),
    [
        (ASKED, " BODY=8BITMIME SMTPUTF8"),
        (NOT_ASKED, " BODY=8BITMIME"),
        (LATIN_1, " BODY=8BITMIME"),
    ],
    ids=["asked", "not asked", "not UTF-8"],
)
def test_smtputf8_is_declared_for_a_header_whose_client_asked(header: bytes, declared: str) -> None:
    assert mail(header, ALL) == f"MAIL FROM:<s@relay.example> SIZE={len(header) + 4}{declared}\r\n"


def test_an_8_bit_header_needs_no_smtputf8_unless_the_client_asked_for_it() -> None:
    assert "SMTPUTF8" not in mail(NOT_ASKED, {"8BITMIME": ""})
    with pytest.raises(Unsendable, match="UTF-8 header") as refused:
        mail(ASKED, {"8BITMIME": ""})
    assert isinstance(refused.value.outcome, Unconfirmed)
    assert refused.value.outcome.final.reply.enhanced == "5.6.9"


def test_an_8_bit_address_needs_smtputf8() -> None:
    assert mail(b"A: b\r\n\r\n", ALL, "jörg@mx.example").endswith(" SMTPUTF8\r\n")
    with pytest.raises(Unsendable, match="UTF-8 address"):
        mail(b"A: b\r\n\r\n", {"8BITMIME": ""}, "jörg@mx.example")
