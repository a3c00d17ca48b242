"""Tokens: only ours, each for one purpose, under whatever key signed them."""

import string
from base64 import urlsafe_b64encode
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from posthouse.tracking.token import (
    CLICK_LETTERS,
    SHORT_LETTERS,
    ClickToken,
    OpenToken,
    Token,
    TokenKey,
    UnsubscribeToken,
    read,
    sign,
    sign_links,
    token_keys,
)

MASTER = b"m" * 32
(KEY,) = token_keys(MASTER, [0])
DELIVERY = UUID("0195ab00-0000-7000-8000-000000000001")
TOKENS: tuple[Token, ...] = (
    OpenToken(DELIVERY),
    ClickToken(DELIVERY, b"0123456789", 7),
    UnsubscribeToken(DELIVERY),
)
tokens = st.one_of(
    st.builds(OpenToken, st.uuids()),
    st.builds(UnsubscribeToken, st.uuids()),
    st.builds(
        ClickToken, st.uuids(), st.binary(min_size=10, max_size=10), st.integers(0, (1 << 16) - 1)
    ),
)


@given(tokens, st.integers(0, 15))
def test_what_was_signed_is_read_again(token: Token, number: int) -> None:
    (key,) = token_keys(MASTER, [number])
    letters = sign(token, key)
    assert token == read(letters, [key])
    assert len(letters) == (CLICK_LETTERS if isinstance(token, ClickToken) else SHORT_LETTERS)
    assert set(letters) <= {*string.ascii_letters, *string.digits, "-", "_"}


@given(st.uuids(), st.binary(min_size=10, max_size=10), st.integers(0, 20))
def test_all_links_of_a_set_get_the_tokens_that_each_would_get(
    delivery: UUID, links: bytes, count: int
) -> None:
    each = [ClickToken(delivery, links, number) for number in range(count)]
    signed = sign_links(delivery, links, count, KEY)
    assert [sign(token, KEY) for token in each] == signed
    assert each == [read(letters, [KEY]) for letters in signed]
    assert count == len({letters[-13:] for letters in signed})  # their hashes


@pytest.mark.parametrize("token", TOKENS)
def test_an_old_key_is_understood_while_it_is_listed(token: Token) -> None:
    new, old = token_keys(MASTER, [1, 0])
    assert token == read(sign(token, old), [new, old])
    assert token == read(sign(token, new), [new, old])
    assert None is read(sign(token, old), [new])
    assert None is read(sign(token, old), [])


def test_the_number_of_a_key_does_not_make_it_that_key() -> None:
    (other,) = token_keys(b"o" * 32, [0])
    assert None is read(sign(TOKENS[0], other), [KEY])
    assert None is read(sign(TOKENS[0], KEY), [TokenKey(0, token_keys(MASTER, [1])[0].secret)])


@given(
    st.sampled_from(TOKENS),
    st.integers(0, CLICK_LETTERS - 1),
    st.sampled_from("ABCxyz019-_+/=ä \n\0"),
)
def test_no_letter_can_be_changed(token: Token, at: int, letter: str) -> None:
    """Not the case of one either: each token has one spelling."""
    letters = sign(token, KEY)
    changed = letters[:at] + letter + letters[at + 1 :]
    assume(changed != letters)
    assert None is read(changed, [KEY])


def test_a_letter_of_another_alphabet_is_none() -> None:
    """Base64 has + and / where ours has - and _."""
    for number in range(40):
        letters = sign(OpenToken(UUID(int=DELIVERY.int + number)), KEY)
        other = letters.translate(str.maketrans("-_", "+/"))
        assert (None is read(other, [KEY])) == (other != letters)


def test_no_part_of_one_fits_another() -> None:
    """Neither kind, delivery, set nor number can be taken from another token of ours."""
    other = UUID(int=DELIVERY.int ^ (1 << 128) - 1)
    theirs: list[Token] = [
        OpenToken(other),
        ClickToken(other, b"9876543210", 8),
        ClickToken(DELIVERY, b"0123456789", 8),
        UnsubscribeToken(other),
        *TOKENS,
    ]
    for mine in TOKENS:
        for token in theirs:
            a, b = sign(mine, KEY), sign(token, KEY)
            spliced = {a[:cut] + b[cut:] for cut in range(len(a) + 1)} - {a, b}
            assert {read(each, [KEY]) for each in spliced} <= {None}


@given(
    st.text(max_size=60)
    | st.text("AB-_=", min_size=SHORT_LETTERS, max_size=SHORT_LETTERS)
    | st.text("AB-_=", min_size=CLICK_LETTERS, max_size=CLICK_LETTERS)
    | st.binary(min_size=27, max_size=39).map(lambda octets: urlsafe_b64encode(octets).decode())
)
def test_no_text_is_one_by_chance_or_makes_it_fail(text: str) -> None:
    assert None is read(text, token_keys(MASTER, range(16)))
