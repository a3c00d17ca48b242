"""Tags in texts, and what each recipient reads in their place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.new_message import WrongValue
from ingest.core.substitutions import Substitutions

# Few letters, so that tags meet: within each other, one behind the other, as parts of values.
WORDS = st.text("ab-", min_size=1, max_size=3)


def filled(text: str, values: dict[str, str], most: int = 1_000_000) -> str:
    return Substitutions(most).filled(text, values, "/text")


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("Dear -name-, -name-!", {"-name-": "Jo"}, "Dear Jo, Jo!"),
        ("-a-", {}, "-a-"),
        ("-a-", {"-b-": "x"}, "-a-"),
        ("-a--b-", {"-a-": "-b-", "-b-": "-a-"}, "-b--a-"),  # what was put in is left alone
        ("%id%%ident%", {"%id%": "1", "%id%%ident%": "2", "%ident%": "3"}, "2"),  # the longer one
        (r"\1 {x}", {"{x}": r"\g<0>"}, r"\1 \g<0>"),
        ("(.*) x", {".*": "y"}, "(y) x"),
        ("é-a-𝄞", {"-a-": "日本", "𝄞": "-a-"}, "é日本-a-"),
        ("-a-", {"-a-": ""}, ""),
        (
            "x" * 524_287 + "-a-" + "y" * 70_000 + "-a-",
            {"-a-": "z"},
            f"{'x' * 524_287}z{'y' * 70_000}z",
        ),
        ("abc", {"a": "b", "b": "c", "c": "a"}, "bca"),
    ],
)
def test_tags_are_replaced_at_once(text: str, values: dict[str, str], expected: str) -> None:
    assert expected == filled(text, values)


@given(st.text("ab-", max_size=40), st.dictionaries(WORDS, WORDS, max_size=5))
def test_the_longest_tags_are_found_first_and_nothing_else_is_changed(
    text: str, values: dict[str, str]
) -> None:
    def slowly(rest: str, tags: list[str]) -> str:
        if not tags:
            return rest
        return values[tags[0]].join(slowly(part, tags[1:]) for part in rest.split(tags[0]))

    longest_first = sorted(values, key=lambda tag: (-len(tag), tag))
    assert slowly(text, longest_first) == filled(text, values)


def test_texts_of_many_recipients_are_filled_alike_whatever_came_before() -> None:
    one = Substitutions(100)
    for values in ({"a": "1"}, {"a": "2"}, {"b": "3"}, {"a": "4", "b": "5"}, {"a": "1"}):
        for text in ("ab", "ba"):
            assert filled(text, values) == one.filled(text, values, "")


def test_what_would_take_too_long_or_become_too_large_is_refused() -> None:
    with pytest.raises(WrongValue, match="larger than a message"):
        filled("a" * 90, {"a": "xx"}, most=200)
    with pytest.raises(WrongValue, match="larger than a message"):  # in UTF-8
        filled("a" * 50, {"a": "𝄞"}, most=200)
    with pytest.raises(WrongValue, match="more than 100000 tags"):
        filled("a" * 100_001, {"a": ""})
    one = Substitutions(2_600_000)
    text, tags = "x" * 2_600_000, {f"-{number}-": "y" for number in range(100)}
    one.filled(text, tags, "")
    with pytest.raises(WrongValue, match="too many different substitutions"):
        one.filled(text, {"-other-": "y", **tags}, "")
