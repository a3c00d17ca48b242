"""Message data as it comes in: where it ends, and whether it may be taken.

Only <CR><LF>.<CR><LF> ends data. Other mail systems end it at less, and what stands behind such an
end would be a message smuggled in under our name; so data with any bare CR, bare LF or NUL is
refused, but only after its true end, so that both sides agree on what comes next.
"""

from enum import IntEnum

from posthouse.mail.message import has_bare_line_end

LINE_LIMIT = 2_048  # RFC 5322 says 998; what is a little longer is common and does no harm

_DOT = b"\r\n."  # a line that begins with a dot: the last one, or one with a dot too many
_END = b"\r\n.\r\n"
# Whole lines are put aside when so much has come: what is copied at one time stays small, and a
# header of any size that we parse is in the first piece.
_PIECE = 131_072


class Flaw(IntEnum):
    """Why the data cannot be taken; of several the lowest counts."""

    TOO_BIG = 1
    BARE_LINE_END = 2
    LONG_LINE = 3


class DataReader:
    """One message, however it is cut on its way; holds it once, and at most *limit* octets of it.

    Every octet is looked at as it comes and not again, so the work is linear in the message.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []  # whole lines, with dot-stuffing undone
        # What comes behind them, and the line end before it; first that of the DATA command
        # itself, because a dot may follow at once.
        self._open = bytearray(b"\r\n")
        self._kept = 0  # octets in pieces
        self._gone = 0  # octets that came and are not open any more, kept or not
        self._stuffed = False
        self._flaw: Flaw | None = None

    def feed(self, buffer: bytearray) -> bool:
        """Take what belongs to the message from the front of *buffer*; whether it is complete."""
        lines = self._open
        known = len(lines)
        lines += buffer
        end = self._find_end(max(known - len(_END) + 1, 0))
        if end < 0:
            buffer.clear()
            self._bound(known)
            return False
        del buffer[: end + len(_END) - known]
        self._put_aside(end + 2)
        if self._gone > self._limit:
            self.give_up()
        return True

    def _find_end(self, start: int) -> int:
        """Where data ends, -1 when it goes on; in passing, whether any line begins with a dot."""
        # Nearly always one line does, the last. Searched for from behind, which takes CPython half
        # as long, it is found at once, and nothing before it.
        lines = self._open
        last = lines.rfind(_DOT, start)
        if last < 0:
            return last
        if lines.startswith(_END, last) and lines.rfind(_DOT, start, last + 2) < 0:
            return last
        self._stuffed = True
        return lines.find(_END, start)

    def _bound(self, known: int) -> None:
        """Keep no more than there may be; put whole lines aside when there are enough of them."""
        lines = self._open
        if self.came > self._limit + len(_END):
            self.give_up()
        elif len(lines) > _PIECE:
            # Only in what is new: a line without end would be searched again with every octet.
            line_end = lines.rfind(b"\r\n", max(known - 1, 1))
            if line_end > 0:
                self._put_aside(line_end + 2)

    def _put_aside(self, end: int) -> None:
        """Check the lines in front of *end*, where one ends, and make them a piece."""
        lines, self._open = self._open, self._open[end - 2 :]
        del lines[end:]
        self._gone += end - 2
        if flaw := _flaw_of(lines):
            self._drop_pieces(flaw)
        elif self._flaw is None:
            if self._stuffed:
                lines = lines.replace(_DOT, b"\r\n")
            self._pieces.append(bytes(memoryview(lines)[2:]))
            self._kept += len(self._pieces[-1])

    @property
    def came(self) -> int:
        """Octets of the message that were seen."""
        return self._gone + len(self._open)

    @property
    def held(self) -> int:
        """Octets of it that are in memory."""
        return self._kept + len(self._open)

    def give_up(self) -> None:
        """Keep no more of this message than it takes to find its end."""
        self._drop_pieces(Flaw.TOO_BIG)
        rest = self._open[-len(_END) + 1 :]
        self._gone += len(self._open) - len(rest)
        self._open = rest

    def _drop_pieces(self, flaw: Flaw) -> None:
        """There will be no message, for *flaw* unless for a worse one."""
        self._flaw = flaw if self._flaw is None else min(flaw, self._flaw)
        self._pieces.clear()
        self._kept = 0

    def result(self) -> list[bytes] | Flaw:
        """The complete message with dot-stuffing undone (RFC 5321 section 4.5.2), or its flaw.

        It comes in pieces of whole lines.
        """
        return self._flaw or self._pieces


def _flaw_of(lines: bytearray) -> Flaw | None:
    """What is wrong with *lines*, each with its end, and that of another before them."""
    if has_bare_line_end(lines):
        return Flaw.BARE_LINE_END
    return Flaw.LONG_LINE if _has_longer_line(lines, LINE_LIMIT) else None


def _has_longer_line(content: bytearray, limit: int) -> bool:
    """Whether a line, its end not counted, is longer than *limit*: a jump a line, not a scan."""
    start = 0  # of a line
    while len(content) - start > limit + 2:
        end = content.rfind(b"\n", start, start + limit + 2)
        if end < 0:
            return True
        start = end + 1
    return False
