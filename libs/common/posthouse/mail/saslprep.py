"""SASLprep: secrets in the one form in which SCRAM and PLAIN compare them (RFC 4013, RFC 3454)."""

import stringprep
from unicodedata import ucd_3_2_0

MOST_CHARACTERS = 255

_PROHIBITED = (
    *(stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3),
    *(stringprep.in_table_c4, stringprep.in_table_c5, stringprep.in_table_c6),
    *(stringprep.in_table_c7, stringprep.in_table_c8, stringprep.in_table_c9),
)


class CannotPrepare(ValueError):
    """No program that keeps to SASLprep could send this text."""


def prepared(text: str) -> str:
    """*text* as it is compared; raises CannotPrepare.

    It has 1 to 255 characters. Those that Unicode 3.2 did not know are left as they are (a query,
    by RFC 3454 section 7): whoever chose one can give it again.
    """
    if not 0 < len(text) <= MOST_CHARACTERS:
        raise CannotPrepare(
            f"it has {len(text)} characters, and 1 to {MOST_CHARACTERS} are allowed"
        )
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(_mapped(character) for character in text)
    normal = ucd_3_2_0.normalize("NFKC", mapped)
    if not 0 < len(normal) <= MOST_CHARACTERS:
        raise CannotPrepare("what is left of it by SASLprep is nothing, or too long")
    for character in normal:
        if any(is_in(character) for is_in in _PROHIBITED):
            raise CannotPrepare(f"the character U+{ord(character):04X} is not allowed (RFC 4013)")
    _check_directions(normal)
    return normal


def _mapped(character: str) -> str:
    if stringprep.in_table_c12(character):
        return " "
    return "" if stringprep.in_table_b1(character) else character


def _check_directions(text: str) -> None:
    """RFC 3454 section 6."""
    to_the_left = [stringprep.in_table_d1(character) for character in text]
    if not any(to_the_left):
        return
    if not (to_the_left[0] and to_the_left[-1]) or any(map(stringprep.in_table_d2, text)):
        raise CannotPrepare("it mixes writing to the right and to the left (RFC 4013)")
