"""Whatever a stranger says, it is judged, and soon."""

import random
import re
from re import _constants as code  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

import pytest

from posthouse.answers import Stage, judge, read_answer, reply_codes, wording
from posthouse.answers.rule_table import WORD_RULES
from posthouse.answers.wording import MOST_READ, words_of

CHUNKS = [
    "a", "a ", "user ", "no such ", "not ", "user unknown ", "user a b c d e f ", "a@", "@", "<",
    "<a", "'", "'a ", '"', "550-", "550 5.1.1 ", "\n550-", "1.2.3.", "5.1.1", "#5.1.1", "x.y", "x.",
    "aB", "http:", "n't", "can't ", "ü", "ü ", "\ufffd", "?", "宛先", "用户 ", "получатель ", "(",
    "[", "\x00", "\u0130", "\u0345", "=?", ";", "smtp;", "... ", "RESOLVER.", "RESOLVER.a.",
    "the domain ", "sender ",
]  # fmt: skip
STAGES = list(Stage)
PATTERNS = [
    *(rule.pattern for rule in WORD_RULES),
    *(
        value
        for module in (reply_codes, wording)
        for value in vars(module).values()
        if isinstance(value, re.Pattern)
    ),
]


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("end", ["", "!", " unknown"])
def test_sixty_four_kibibytes_of_anything_end(chunk: str, end: str) -> None:
    text = (chunk * (1 << 16))[: (1 << 16) - len(end)] + end
    judged = judge(read_answer(text, Stage.RCPT))
    assert not judged.suppresses  # it was not read to its end


def test_a_soup_of_all_of_it_never_raises() -> None:
    chance = random.Random(12)  # noqa: S311 -- the same soup each time
    for _ in range(3000):
        text = "".join(chance.choices(CHUNKS, k=chance.randrange(40)))
        code_of_reply = chance.choice(["", "550 ", "450 ", "250 ", "5.1.1 ", "smtp; 550 "])
        said = read_answer(
            code_of_reply + text,
            chance.choice(STAGES),
            status=chance.choice(["", "5.1.1", "4.0.0 (x)", text]),
            recipients=chance.choice([1, 2]),
        )
        assert judge(said) == judge(said)


def test_the_words_of_words_are_the_same() -> None:
    chance = random.Random(13)  # noqa: S311
    for _ in range(1000):
        words = words_of("".join(chance.choices(CHUNKS, k=20)))
        assert words == " ".join(words.split())
        assert not read_answer(words, Stage.RCPT).enhanced


def test_what_is_not_read_to_its_end_does_not_suppress() -> None:
    said = "550 5.1.1 no such user"
    assert judge(read_answer(said.ljust(MOST_READ), Stage.RCPT)).suppresses
    assert not judge(read_answer(said.ljust(MOST_READ + 1), Stage.RCPT)).suppresses


def endless_repeats(parsed: Any, inside: bool = False) -> bool:
    """Whether a repeat without end stands inside another: time might double with each letter."""
    for kind, argument in parsed:
        endless = kind in (code.MAX_REPEAT, code.MIN_REPEAT) and argument[1] is code.MAXREPEAT
        if endless and inside:
            return True
        parts = argument if isinstance(argument, tuple | list) else ()
        nested = [part for part in parts if isinstance(part, _parser.SubPattern)]
        nested += [p for part in parts if isinstance(part, list) for p in part]
        for part in nested:
            if isinstance(part, _parser.SubPattern) and endless_repeats(part, inside or endless):
                return True
    return False


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.pattern[:30])
def test_no_pattern_repeats_a_repeat(pattern: re.Pattern[str]) -> None:
    assert not endless_repeats(_parser.parse(pattern.pattern))


def test_a_repeated_repeat_would_be_seen() -> None:
    assert endless_repeats(_parser.parse("(?:a+b?)*c"))
    assert not endless_repeats(_parser.parse("(?:a{1,9}b?)*c|a+"))
