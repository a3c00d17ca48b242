"""The address to unsubscribe by survives what mail programs and servers do to local parts."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.address import Address
from posthouse.tracking.token import TokenKey, UnsubscribeToken, read, sign
from posthouse.tracking.unsubscribe_address import token_in, unsubscribe_address

KEY = TokenKey(0, b"k" * 32)


@given(st.uuids(), st.sampled_from([str.lower, str.upper, str.swapcase]))
def test_a_token_is_read_from_its_address_whatever_became_of_the_case(
    delivery: UUID, fold: type[str]
) -> None:
    token = sign(UnsubscribeToken(delivery), KEY)

    address = unsubscribe_address(token, "back.relay.example")

    local = str(Address.parse(address)).partition("@")[0]
    assert len(local) <= 64
    assert local.replace("-", "").isalnum()  # nothing that a mailto: or a shell would change
    assert token == token_in(fold(local))
    assert UnsubscribeToken(delivery) == read(token_in(local) or "", [KEY])


GOOD = unsubscribe_address(sign(UnsubscribeToken(UUID(int=7)), KEY), "x").partition("@")[0]


@pytest.mark.parametrize(
    "other",
    [
        "",
        "unsubscribe",
        "unsubscribe-",
        "unsubscribe+" + GOOD[12:],
        GOOD[:-1],
        GOOD + "a",
        GOOD[:-1] + "1",  # no digit of base32
        GOOD[:-1] + chr(ord(GOOD[-1]) + 1),  # another value of the bits that are spare
        GOOD[:20] + "ä" + GOOD[21:],
        "b+" + GOOD[12:],
    ],
)
def test_another_local_part_holds_none(other: str) -> None:
    assert token_in(other) is None


@given(st.text(max_size=70))
def test_nothing_that_strangers_write_makes_it_raise(text: str) -> None:
    assert token_in(text) is None
    assert read(token_in(f"unsubscribe-{text}") or "", [KEY]) is None
