"""Message data as it comes in: where it ends, and whether it may be taken.

Only <CR><LF>.<CR><LF> ends data. Other mail systems end it at less, and what stands behind such an
end would be a message smuggled in under our name; so data with any bare CR, bare LF or NUL is
refused, but only after its true end, so that both sides agree on what comes next.
"""

from enum import Enum

LINE_LIMIT = 2_048  # RFC 5322 says 998; what is a little longer is common and does no harm

_DOT = b"\r\n."  # a line that begins with a dot: the last one, or one with a dot too many
_END = b"\r\n.\r\n"
_NO_TEXT = b"\r\n\0"


class Flaw(Enum):
    """Why the data cannot be taken."""

    TOO_BIG = "too big"
    BARE_LINE_END = "bare line end"
    LONG_LINE = "long line"


class DataReader:
    """One message, however it is cut into pieces; holds at most *limit* octets and a piece."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # The line end of the DATA command itself: a dot may follow at once.
        self._content = bytearray(b"\r\n")
        self._stuffed = False
        self._too_big = False

    def feed(self, buffer: bytearray) -> bool:
        """Take what belongs to the message from the front of *buffer*; whether it is complete."""
        content = self._content
        known = len(content)
        content += buffer
        end = self._find_end(max(known - len(_END) + 1, 0))
        if end < 0:
            buffer.clear()
            if len(content) > self._limit + len(_END):
                self.give_up()
            return False
        del buffer[: end + len(_END) - known]
        del content[end + 2 :]
        return True

    def _find_end(self, start: int) -> int:
        """Where data ends, -1 when it goes on; in passing, whether any line begins with a dot."""
        dot = self._content.find(_DOT, start)
        if dot < 0 or self._content.startswith(_END, dot):
            return dot
        self._stuffed = True
        return self._content.find(_END, dot)

    @property
    def octets(self) -> int:
        """How much is held."""
        return len(self._content)

    def give_up(self) -> None:
        """Keep no more of this message than it takes to find its end."""
        self._too_big = True
        del self._content[: -len(_END) + 1]

    def result(self) -> bytes | Flaw:
        """The complete message with dot-stuffing undone (RFC 5321 section 4.5.2)."""
        content = self._content
        if self._too_big or len(content) > self._limit + 2:
            return Flaw.TOO_BIG
        # Every CR, LF and NUL must be half of a CRLF.
        text = content.translate(None, _NO_TEXT)
        if len(content) - len(text) != 2 * content.count(b"\r\n"):
            return Flaw.BARE_LINE_END
        if _has_longer_line(content, LINE_LIMIT):
            return Flaw.LONG_LINE
        if self._stuffed:
            content = content.replace(_DOT, b"\r\n")
        return bytes(content[2:])


def _has_longer_line(content: bytearray, limit: int) -> bool:
    """Whether a line, its end not counted, is longer than *limit*: a jump a line, not a scan."""
    start = 0  # of a line
    while len(content) - start > limit + 2:
        end = content.rfind(b"\n", start, start + limit + 2)
        if end < 0:
            return True
        start = end + 1
    return False
