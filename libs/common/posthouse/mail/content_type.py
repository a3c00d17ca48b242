"""What a Content-Type says, read as loosely as mail programs do (RFC 2045 section 5.1)."""

import re

TEXT = "text/plain"
"""What has no Content-Type, or none that can be read."""

_MEDIA_TYPE = re.compile(r"[ \t]*([^ \t;/]+/[^ \t;]+)")
_PARAMETER = re.compile(r';[ \t]*([^\s=;"]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^\s;]*)')
_QUOTED_PAIR = re.compile(r"\\(.)")


def media_type(value: str) -> str:
    """The type and subtype that *value* begins with, in lower case."""
    found = _MEDIA_TYPE.match(value)
    return found[1].lower() if found else TEXT


def parameter(value: str, wanted: str) -> str:
    """The parameter called *wanted*, in lower case; "" where there is none."""
    for name, given in _PARAMETER.findall(value):
        if name.lower() == wanted:
            return str(_QUOTED_PAIR.sub(r"\1", given[1:-1]) if given.startswith('"') else given)
    return ""
