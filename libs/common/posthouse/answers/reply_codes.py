"""Finds the codes in what a remote system said, however they are dressed."""

import re

from posthouse.answers.answer import Answer, Stage

# What is longer is cut.
MOST_CHARACTERS = 1 << 16

# RFC 3463 has subjects 0 to 7. A longer row of numbers is an IP address or a version.
_ENHANCED = re.compile(r"(?<![\w.])([245]\.[0-7]\.\d{1,3})(?!\w|\.\w)")
# "550 5.1.1", "550-5.1.1", "smtp; 550 ...", "550#5.1.1": a code and an enhanced code.
_BOTH = re.compile(r"(?<![\w.#-])([245]\d\d)[ -]{1,3}[(#]{0,2}[245]\.[0-7]\.\d{1,3}(?!\w|\.\w)")
# At the start of a line, maybe behind "smtp;" or "<<<".
_LEADING = re.compile(
    r"(?:^|\n)[ \t<]{0,8}(?:[\w-]{1,32}[ \t]?;[ \t]{0,8})?([2-5]\d\d)(?=[\s:-]|$)"
)
# Behind the words of another system: "host mx.example said: 550 no".
_QUOTED = re.compile(r"[:;=(\"'][ \t\n]{0,3}([245]\d\d)(?=[\s-])")
# Postfix says what was answered.
_OF_DOT = re.compile(r"\(in reply to end of DATA command\)")


def read_answer(
    text: str,
    stage: Stage,
    *,
    status: str = "",
    provider: str = "",
    recipients: int = 1,
) -> Answer:
    """The answer in *text*, a reply or diagnostic with its codes in any dress.

    *status* is what a report's Status field says; its code comes last, since what was said to
    the reporting system is more exact. Text beyond 64 KiB is cut.
    """
    text = text[:MOST_CHARACTERS]
    if stage is Stage.REPORT and _OF_DOT.search(text):
        stage = Stage.REPORT_OF_DOT
    enhanced = tuple(dict.fromkeys(_ENHANCED.findall(f"{text}\n{status[:64]}")))
    return Answer(stage, _code(text), enhanced, text, provider, recipients)


def _code(text: str) -> int | None:
    found = (
        _LEADING.match(text) or _BOTH.search(text) or _LEADING.search(text) or _QUOTED.search(text)
    )
    return int(found[1]) if found else None
