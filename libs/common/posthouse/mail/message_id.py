"""Whether the value of a Message-ID field identifies a message (RFC 5322 section 3.6.4)."""

import re

from posthouse.mail.address import InvalidAddress
from posthouse.mail.mailbox import tokens

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"


def _pattern(atext: str) -> re.Pattern[str]:
    """The current form of an identifier, of atoms out of *atext*."""
    atoms = rf"[{atext}]+(?:\.[{atext}]+)*"
    return re.compile(rf"<{atoms}@(?:{atoms}|\[[!-Z^-~]*\])>")


_ID = _pattern(_ATEXT)
_UTF8_ID = _pattern(_ATEXT + r"\x80-\U0010ffff")  # RFC 6532 section 3.2
# Quoted words and blanks, which section 4.5.4 still allows.
_WORD = rf'(?:[{_ATEXT}]+|"(?:[^"\\]|\\.)*")'
_OBSOLETE_ID = re.compile(
    rf"[ \t]*<[ \t]*{_WORD}(?:[ \t]*\.[ \t]*{_WORD})*[ \t]*@[ \t]*"
    rf"(?:[{_ATEXT}]+(?:[ \t]*\.[ \t]*[{_ATEXT}]+)*|\[[^][\\]*\])[ \t]*>[ \t]*"
)


def is_message_id(value: str, *, utf8: bool = False) -> bool:
    """Whether *value*, unfolded, is one identifier in angle brackets, in an obsolete form too.

    *utf8*: the client asked for SMTPUTF8, so that letters beyond ASCII may be in it.
    """
    if _ID.fullmatch(value) is not None:
        return True
    if not value.isascii():
        return utf8 and value.isprintable() and _UTF8_ID.fullmatch(value) is not None
    try:
        texts = [" " if token.is_comment else token.text for token in tokens(value)]
    except InvalidAddress:
        return False
    return _OBSOLETE_ID.fullmatch("".join(texts)) is not None
