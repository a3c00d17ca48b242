"""Tags in texts, and what each recipient reads in their place.

All tags are replaced at once: what was put in is not looked through again, so that a value cannot
bring a tag. Where two tags begin at one place the longer one counts.
"""

import re
from collections.abc import Mapping, Sequence

from ingest.core.new_message import WrongValue

MOST_TAGS = 1_000
_MOST_PLACES = 100_000  # of tags, in one text
# Characters that are looked through, once for each tag: in less than two seconds.
_MOST_WORK = 1 << 28
_AT_ONCE = 524_288  # characters that a pattern looks through, in some milliseconds
# A text of JSON has no lone surrogate: each stands for a tag, while others are looked for.
_FIRST_MARK = 0xD800
_MARKED = re.compile("([\ud800-\udfff])")


class Substitutions:
    """Fills the texts of one request; where all have the same tags, each is searched once."""

    def __init__(self, most_octets: int) -> None:
        """*most_octets*: of the texts of a message, when they are filled."""
        self._most_octets = most_octets
        self._octets = 0  # of those of the message that was begun
        self._work = 0
        self._tags: tuple[str, ...] = ()
        self._pieces: dict[str, Sequence[str]] = {}  # of texts, with these tags

    def begin(self) -> None:
        """The texts that come are those of another message."""
        self._octets = 0

    def filled(self, text: str, values: Mapping[str, str], pointer: str) -> str:
        """*text* with *values* in the place of their tags; raises WrongValue about *pointer*.

        There are MOST_TAGS at most, and none of them is empty.
        """
        if not values:
            return text
        tags = tuple(sorted(values, key=lambda tag: (-len(tag), tag)))
        if tags != self._tags:
            self._tags = tags
            self._pieces.clear()
        if text not in self._pieces:
            self._pieces[text] = self._split(text, pointer)
        pieces = self._pieces[text]
        found = pieces[1::2]
        octets = {tag: len(values[tag].encode()) for tag in set(found)}
        self._octets += len(text) + sum(octets[tag] for tag in found)
        if self._octets > self._most_octets:
            raise WrongValue(pointer, "with its substitutions it is larger than a message may be")
        whole = [*pieces]
        whole[1::2] = [values[tag] for tag in found]
        return "".join(whole)

    def _split(self, text: str, pointer: str) -> Sequence[str]:
        """What stands between tags, and the tags, in turn."""
        self._work += len(text) * len(self._tags)
        if self._work > _MOST_WORK:
            raise WrongValue(
                pointer, "there are too many different substitutions for so much text: send less"
            )
        places = 0
        for number, tag in enumerate(self._tags):
            places += text.count(tag)
            if places > _MOST_PLACES:
                raise WrongValue(pointer, f"there are more than {_MOST_PLACES} tags, the most")
            text = text.replace(tag, chr(_FIRST_MARK + number))
        pieces = _split_at_marks(text)
        pieces[1::2] = [self._tags[ord(mark) - _FIRST_MARK] for mark in pieces[1::2]]
        return pieces


def _split_at_marks(text: str) -> list[str]:
    """What stands between marks, and the marks, in turn; a pattern holds up other threads."""
    pieces = [""]
    for at in range(0, len(text), _AT_ONCE):
        first, *others = _MARKED.split(text[at : at + _AT_ONCE])
        pieces[-1] += first
        pieces += others
    return pieces
