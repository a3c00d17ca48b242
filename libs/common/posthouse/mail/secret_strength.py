"""How hard a secret is to guess, judged by its text alone.

Too little rather than too much: a secret that people chose must not pass as a random one.
"""

from math import log2

STRONG_BITS = 128

_OF_A_WORD = 2.0  # bits of a letter in words that a machine drew, of a dictionary


def estimated_bits(secret: str) -> float:
    """The entropy of *secret*, estimated.

    A character counts as one of all different ones that are in it; a letter behind one of the same
    case two bits at most, as in a word; and nothing where its pair was there before.
    """
    of_each = log2(len(set(secret))) if secret else 0.0
    bits, before = 0.0, ""
    pairs: set[str] = set()
    for character in secret:
        pair = before + character
        if pair not in pairs:
            bits += min(of_each, _OF_A_WORD) if _is_within_word(before, character) else of_each
        pairs.add(pair)
        before = character
    return bits


def is_strong(secret: str) -> bool:
    """Whether nobody can guess it, however quick a guess is."""
    return estimated_bits(secret) >= STRONG_BITS


def _is_within_word(before: str, character: str) -> bool:
    return before.isalpha() and character.isalpha() and before.isupper() == character.isupper()
