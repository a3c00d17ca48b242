"""Finds the SMTP reply that a notice quotes, and the command that it answered."""

import re
from collections.abc import Iterator

_LONGEST_QUOTE = 1000  # characters of a quoted reply that are kept

# A reply code where one may stand: at the start, or behind a blank, quote, bracket or colon, and
# not where a size, a port or a date would be ("after 500 bytes").
_REPLY = re.compile(
    r"(?:(?<=[\s\"'(\[:,;>=#\u2018\u201c])|(?<![^\n]))"
    r"((?:4[2-5]|5[0-7])\d)(?:[ ,-]|: |(?=\s|$|[\"'#]))(?! ?(?:bytes|kb|mb|messages|minutes|hours))"
)
_INTRODUCED = re.compile(
    r"(?:\bsaid|respon\w*|repl\w*|return\w*|error\w*|failure|reason|status|result|message|<<<|was"
    r"|with|back|diagnostic\S*|text|\.{3}|>)[ :\"'(\[]*$",
    re.IGNORECASE,
)
_CODE = re.compile(r"(?<![\d.\w])#?([245])\.(\d{1,3})\.(\d{1,3})(?!\.?\d)")
_END = re.compile(r"\n[ \t]*\n|\nGiving up\b|\n(?=[^\n]{0,40}<?[^\s<>]{1,64}@[^\s<>]{1,200}>?:\n)")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_RULER = re.compile(r"^[-=*#_|][-=*#_| ]{2,}.*$", re.MULTILINE)  # a title between lines
_MOST_PARAGRAPHS = 20
_WORD = re.compile(r"[^\W\d_]{2,}")
_WORDY = re.compile("[\u0e00-\u0e7f\u3040-\u9fff]{3}")  # scripts that have no blanks

# Signs that the reply answered RCPT: then it is about the recipient alone. A reply that comes
# after the text may say the same words because of a filter.
_TO_RCPT = re.compile(
    r"in reply to (?:the )?RCPT|after RCPT|RCPT TO? ?command|RCPT command|our RCPT|SMTP:RCPT"
    r"|does not like recipient|recipient was rejected|rejected recipient|\(RCPT TO\)"
    r"|\[RCPT_TO\]|(?:>>>|<<<|-->|<--) ?RCPT[^\n]*\s+[^\n]{0,40}(?:>>>|<<<|-->|<--) ?[45]\d\d",
    re.IGNORECASE,
)


def quoted_reply(text: str) -> str:
    """The SMTP reply that *text* quotes, to the end of its paragraph; "" if it quotes none.

    A code at the start of a line or behind words like "said:" is preferred to one in a sentence.
    """
    best = None
    for match in _REPLY.finditer(text):
        start_of_line = text.rfind("\n", 0, match.start()) + 1
        before = text[start_of_line : match.start()]
        if not before.strip() or _INTRODUCED.search(before[-60:]):
            best = match
            break
        best = best or match
    if best is None:
        return ""
    return _paragraph(text[best.start(1) :])


def paragraphs(text: str) -> Iterator[str]:
    """The first paragraphs of *text* that have words, each as one line."""
    pieces = _PARAGRAPH.split(_RULER.sub("", text))[:_MOST_PARAGRAPHS]
    for piece in pieces:
        if len(_WORD.findall(piece[:_LONGEST_QUOTE])) > 1 or _WORDY.search(piece):
            yield " ".join(piece[:_LONGEST_QUOTE].split())


def enhanced_in(text: str) -> str:
    """The first enhanced status code in *text* (RFC 3463), "" if it has none."""
    found = _CODE.search(text)
    return f"{found[1]}.{found[2]}.{found[3]}" if found else ""


def answers_the_recipient(prose: str) -> bool:
    """Whether *prose* shows that the reply it quotes answered RCPT."""
    return _TO_RCPT.search(prose) is not None


def _paragraph(text: str) -> str:
    text = text[: 2 * _LONGEST_QUOTE]
    end = _END.search(text)
    return " ".join(text[: end.start() if end else None].split())[:_LONGEST_QUOTE]
