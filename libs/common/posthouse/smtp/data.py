"""Message data as it arrives: where it ends, and whether it can be accepted.

Only <CR><LF>.<CR><LF> ends data. Other mail systems accept less as an end, and what follows such an
end would be a message smuggled in under our name. So data with a bare CR, bare LF or NUL is
refused, but only after its true end, so that both sides agree on what comes next.
"""

from enum import IntEnum

from posthouse.mail.message import has_bare_line_end

LINE_LIMIT = 2_048  # RFC 5322 says 998; somewhat longer lines are common and harmless

_DOT = b"\r\n."  # a line that begins with a dot: the last one, or one with a dot too many
_END = b"\r\n.\r\n"
# Whole lines become a piece when this many octets have come: so little is copied at one time.
_PIECE_OCTETS = 131_072


class Flaw(IntEnum):
    """Why the data cannot be accepted; of several the lowest counts."""

    TOO_BIG = 1
    BARE_LINE_END = 2
    LONG_LINE = 3


class DataReader:
    """One message, however the network cut it; keeps one copy of at most *limit* octets.

    Each octet is looked at once, when it comes: the work is linear in the message.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []  # whole lines, with dot-stuffing undone
        # What follows them, with the line end before it: at first that of the DATA command itself,
        # because a dot may follow at once.
        self._open = bytearray(b"\r\n")
        self._kept = 0  # octets in pieces
        self._gone = 0  # octets that came and are no longer open, kept or not
        self._stuffed = False
        self._flaw: Flaw | None = None

    def feed(self, buffer: bytearray) -> bool:
        """Take what belongs to the message off the front of *buffer*; True when it is complete."""
        lines = self._open
        known = len(lines)
        lines += buffer
        end = self._find_end(max(known - len(_END) + 1, 0))
        if end < 0:
            buffer.clear()
            self._limit_memory(known)
            return False
        del buffer[: end + len(_END) - known]
        self._finish_piece(end + 2)
        if self._gone > self._limit:
            self.give_up()
        return True

    def _find_end(self, start: int) -> int:
        """Where data ends, -1 when it goes on. Notes whether any other line begins with a dot."""
        # Usually only the last line does. CPython searches from the end in half the time.
        lines = self._open
        last = lines.rfind(_DOT, start)
        if last < 0:
            return last
        if lines.startswith(_END, last) and lines.rfind(_DOT, start, last + 2) < 0:
            return last
        self._stuffed = True
        return lines.find(_END, start)

    def _limit_memory(self, known: int) -> None:
        """Keep at most the limit; make a piece of whole lines when there are enough of them."""
        lines = self._open
        if self.received_octets > self._limit + len(_END):
            self.give_up()
        elif len(lines) > _PIECE_OCTETS:
            # Search only what is new, or a line without end would be searched again and again.
            line_end = lines.rfind(b"\r\n", max(known - 1, 1))
            if line_end > 0:
                self._finish_piece(line_end + 2)

    def _finish_piece(self, end: int) -> None:
        """Check the lines before *end*, where one ends, and make them a piece."""
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
    def received_octets(self) -> int:
        """Octets of the message that have come."""
        return self._gone + len(self._open)

    @property
    def kept_octets(self) -> int:
        """Octets of it that are in memory."""
        return self._kept + len(self._open)

    def give_up(self) -> None:
        """Drop this message and keep only what is needed to find its end."""
        self._drop_pieces(Flaw.TOO_BIG)
        rest = self._open[-len(_END) + 1 :]
        self._gone += len(self._open) - len(rest)
        self._open = rest

    def _drop_pieces(self, flaw: Flaw) -> None:
        """Keep nothing: the message will be refused for *flaw*, or for a worse one."""
        self._flaw = flaw if self._flaw is None else min(flaw, self._flaw)
        self._pieces.clear()
        self._kept = 0

    def result(self) -> list[bytes] | Flaw:
        """Its pieces of whole lines, dot-stuffing undone (RFC 5321 section 4.5.2), or its flaw."""
        return self._flaw or self._pieces


def _flaw_of(lines: bytearray) -> Flaw | None:
    """What is wrong with *lines*, each with its end, and that of another before them."""
    if has_bare_line_end(lines):
        return Flaw.BARE_LINE_END
    return Flaw.LONG_LINE if _has_longer_line(lines, LINE_LIMIT) else None


def _has_longer_line(content: bytearray, limit: int) -> bool:
    """Whether a line is longer than *limit* without its end; jumps from line end to line end."""
    start = 0  # of a line
    while len(content) - start > limit + 2:
        end = content.rfind(b"\n", start, start + limit + 2)
        if end < 0:
            return True
        start = end + 1
    return False
