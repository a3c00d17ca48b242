"""Secrets that machines made are strong, those that people choose are not."""

import random

import pytest

from posthouse.mail.secret_strength import estimated_bits, is_strong

BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
HEX = "0123456789abcdef"


@pytest.mark.parametrize(("alphabet", "length"), [(BASE64, 43), (HEX, 64)])
def test_what_a_machine_drew_is_strong(alphabet: str, length: int) -> None:
    """256 random bits."""
    draw = random.Random(1)  # noqa: S311 -- of a test
    assert all(is_strong("".join(draw.choices(alphabet, k=length))) for _ in range(500))


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "hunter2",
        "Sommer2024!",
        "a" * 250,
        "0123456789" * 20,
        "abcdefghijklmnopqrstuvwxyz" * 8,
        "correct-horse-battery-staple-again-more-words",
        "It was the best of times, it was the worst of times",
        "5f4dcc3b5aa765d61d8327deb882cf99",  # 128 bits at most, and so fewer
    ],
)
def test_what_people_choose_is_not(secret: str) -> None:
    assert not is_strong(secret)


def test_nothing_counts_for_more_than_it_can_hold() -> None:
    draw = random.Random(2)  # noqa: S311 -- of a test
    for length in (1, 8, 16, 32, 64):
        text = "".join(draw.choices(HEX, k=length))
        assert estimated_bits(text) <= 4 * length
