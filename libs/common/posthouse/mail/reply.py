"""An SMTP reply: code, enhanced status code and text (RFC 5321 section 4.2, RFC 3463)."""

import re
from typing import NamedTuple

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)")


class Reply(NamedTuple):
    """What one side of an SMTP conversation answered; severity derives from the code alone.

    A tuple, because it is hashed in C: each reply that is sent is looked up.
    """

    code: int
    text: str
    enhanced: str | None = None

    @classmethod
    def from_lines(cls, code: int, lines: tuple[str, ...]) -> "Reply":
        """Build a reply from the text behind each line's code.

        The enhanced code is taken from the first line when its class agrees with *code*
        (RFC 2034 section 4); it may stand on every line and is removed from all of them. What is
        not printable becomes "?": a reply is a stranger's text, on its way to logs and pages.
        """
        lines = tuple(line if line.isprintable() else _printable(line) for line in lines)
        first = _ENHANCED.match(lines[0]) if lines else None
        if first is None or first[1][0] != str(code)[0]:
            return cls(code, "\n".join(lines))
        enhanced = first[1]
        texts = (line.removeprefix(enhanced).lstrip() for line in lines)
        return cls(code, "\n".join(texts), enhanced)

    @property
    def is_success(self) -> bool:
        """Whether the command was carried out (2yz)."""
        return 200 <= self.code < 300  # noqa: PLR2004

    @property
    def is_intermediate(self) -> bool:
        """Whether the server waits for more (3yz)."""
        return 300 <= self.code < 400  # noqa: PLR2004

    @property
    def is_permanent(self) -> bool:
        """Whether trying the same again is pointless (5yz)."""
        return 500 <= self.code < 600  # noqa: PLR2004

    def __str__(self) -> str:
        parts = (str(self.code), self.enhanced, self.text.replace("\n", " "))
        return " ".join(part for part in parts if part)


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in line)


def escaped(text: str) -> str:
    r"""*text* on one line for people: what is not printable as Python writes it, as "\x1b"."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode-escape").decode() for c in text)
