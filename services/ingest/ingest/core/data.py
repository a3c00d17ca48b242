"""Message data as it comes in: where it ends, and whether it may be taken.

Only <CR><LF>.<CR><LF> ends data. Other mail systems end it at less, and what stands behind such an
end would be a message smuggled in under our name; so data with any bare CR, bare LF or NUL is
refused, but only after its true end, so that both sides agree on what comes next.
"""

from enum import Enum

LINE_LIMIT = 2_048  # RFC 5322 says 998; what is a little longer is common and does no harm

_END = b"\r\n.\r\n"


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
        self._too_big = False

    def feed(self, buffer: bytearray) -> bool:
        """Take what belongs to the message from the front of *buffer*; whether it is complete."""
        content = self._content
        known = len(content)
        content += buffer
        end = content.find(_END, max(known - len(_END) + 1, 0))
        if end < 0:
            buffer.clear()
            if len(content) > self._limit + len(_END):
                self.give_up()
            return False
        del buffer[: end + len(_END) - known]
        del content[end + 2 :]
        return True

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
        line_ends = content.count(b"\r\n")
        if content.count(b"\n") != line_ends or content.count(b"\r") != line_ends or 0 in content:
            return Flaw.BARE_LINE_END
        if _has_longer_line(content, LINE_LIMIT):
            return Flaw.LONG_LINE
        return bytes(content.replace(b"\r\n.", b"\r\n")[2:])


def _has_longer_line(content: bytearray, limit: int) -> bool:
    """Whether a line, its end not counted, is longer than *limit*: a jump a line, not a scan."""
    start = 0  # of a line
    while len(content) - start > limit + 2:
        end = content.rfind(b"\n", start, start + limit + 2)
        if end < 0:
            return True
        start = end + 1
    return False
