"""The language of a page follows what the reader's program asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking.core.language import Language, preferred_language


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("DE-at", "de"),
        ("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5", "fr"),
        ("en;q=0.5, es;q=0.9", "es"),
        ("it, de", "it"),  # of equals the first
        ("pl, de;q=0.2", "de"),
        ("pl", "en"),
        ("pl, *;q=0.3", "en"),
        ("en;q=0, *", "de"),
        ("de;q=0", "en"),
        ("de;q=high, it;q=0.1", "it"),
        ("de;q=7, it;q=0.1", "it"),
        ("de;q=nan, it;q=0.1", "it"),
        ("de ; q=0.1 , it ; q=0.4", "it"),
        ("fr-CA;q=0.2, de;q=0.4, fr;q=0.8", "fr"),
        (",;,=;q", "en"),
    ],
)
def test_the_language_wanted_most_is_chosen(accept: str, language: str) -> None:
    assert Language(language) is preferred_language(accept)


@given(st.text())
def test_whatever_is_asked_there_is_an_answer(accept: str) -> None:
    assert preferred_language(accept) in Language
