"""Message data as it arrives: where it ends, and what is kept of it.

Only <CR><LF>.<CR><LF> ends data. Other mail systems accept less as an end, and what follows such an
end would be a message smuggled in under our name. So what looks like an end stays within the
message. Its bare CR, bare LF and NUL are cleaned before anybody reads it, or it is refused: behind
its true end, so that both sides agree on what comes next.
"""

from enum import IntEnum

from posthouse.mail.line_ends import MOST_CRS, LineCleaner
from posthouse.mail.long_lines import has_long_line
from posthouse.mail.message import has_bare_line_end

_DOT = b"\r\n."  # a line that begins with a dot: the last one, or one with a dot too many
_END = b"\r\n.\r\n"
# Octets before what is new: at first the line end of the DATA command itself, because a dot may
# follow at once.
_BEFORE = b"\r\n"
# What has come becomes a piece when it has this many octets: so little is copied at one time.
_PIECE_OCTETS = 131_072


class Flaw(IntEnum):
    """Why the data cannot be accepted; of several the lowest counts."""

    TOO_BIG = 1
    BARE_LINE_END = 2
    LONG_LINE = 3


class ContentReader:
    """The content of one message, however the network cut it; keeps one copy.

    It may have *limit* octets, as it comes and as it is kept, and a line *line_limit* without its
    end, None for any number. Odd line ends are cleaned if it *cleans*, else they are a flaw. Each
    octet is looked at once, when it comes: the work is linear in the message.
    """

    _stuffs = False  # dots that begin a line come doubled

    def __init__(self, limit: int, line_limit: int | None = None, *, cleans: bool = False) -> None:
        self._limit = limit
        self._line_limit = line_limit
        self._cleans = cleans
        self._cleaner: LineCleaner | None = None  # from the first piece on that needs one
        self._pieces: list[bytes] = []
        self._open = bytearray(_BEFORE)  # what follows them, with the two octets before it
        self._kept = 0  # octets in pieces
        self._size = 0  # and in those that were dropped
        self._gone = 0  # octets that came and are no longer open, kept or not
        self._line = b""  # that the last piece did not end
        self._stuffed = False  # a line begins with a dot
        self._flaw: Flaw | None = None
        self.given_up = False  # it will be refused, whatever follows

    @property
    def received_octets(self) -> int:
        """Octets of the message that have come."""
        return self._gone + len(self._open) - len(_BEFORE)

    @property
    def kept_octets(self) -> int:
        """Octets of it that are in memory."""
        return self._kept + len(self._open)

    @property
    def cleaned(self) -> tuple[str, ...]:
        """What had to be cleaned, in the words of `posthouse.mail.line_ends`; () with a flaw."""
        if self._cleaner is None or self._flaw is not None:
            return ()
        return tuple(sorted(self._cleaner.found))

    def result(self) -> list[bytes] | Flaw:
        """Its pieces, dot-stuffing undone (RFC 5321 section 4.5.2), or its flaw."""
        return self._flaw or self._pieces

    def give_up(self) -> None:
        """Drop this message and keep only what is needed to find its end."""
        self.given_up = True
        self._drop_pieces(Flaw.TOO_BIG)
        rest = self._open[-len(_END) + 1 :]
        self._gone += len(self._open) - len(rest)
        self._open = rest

    def _drop_pieces(self, flaw: Flaw) -> None:
        """Keep nothing: the message will be refused for *flaw*, or for a worse one."""
        self._flaw = flaw if self._flaw is None else min(flaw, self._flaw)
        self._pieces.clear()
        self._kept = 0

    def _make_piece(self) -> None:
        """Make a piece of what is open when that is enough: whole lines if it holds a line end."""
        lines = self._open
        if len(lines) <= _PIECE_OCTETS:
            return
        end = lines.rfind(b"\n", len(_BEFORE)) + 1
        if not end:  # CRs may belong to a line end that is still to come
            end = max(len(lines.rstrip(b"\r")), len(lines) - MOST_CRS)
        self._finish_piece(end, last=False)

    def _finish_piece(self, end: int, *, last: bool) -> None:
        """Make what is open before *end* a piece, *last* or not, as it is kept."""
        lines, self._open = self._open, self._open[end - len(_BEFORE) :]
        del lines[end:]
        self._gone += end - len(_BEFORE)
        if self._flaw is Flaw.TOO_BIG:
            return
        if has_bare_line_end(lines):
            if self._cleans:
                self._keep(self._cleaning().clean(bytes(memoryview(lines)[len(_BEFORE) :])))
            else:
                self._drop_pieces(Flaw.BARE_LINE_END)
            return
        if self._stuffed:
            lines = lines.replace(_DOT, b"\r\n")
        piece = bytes(memoryview(lines)[len(_BEFORE) :])
        if self._cleans and not last:  # one that needs it may follow
            self._cleaning().skip(piece)
        self._keep(piece)

    def _cleaning(self) -> LineCleaner:
        if self._cleaner is None:
            self._cleaner = LineCleaner(stuffed=self._stuffs)
        return self._cleaner

    def _keep(self, piece: bytes) -> None:
        """Keep *piece*, which is clean, unless the message has a flaw."""
        self._size += len(piece)
        if self._size > self._limit:
            self._drop_pieces(Flaw.TOO_BIG)
        elif self._flaw is None and piece:
            self._pieces.append(piece)
            self._kept += len(piece)
            if self._line_limit is not None:
                self._check_lines(piece, self._line_limit)

    def _check_lines(self, piece: bytes, limit: int) -> None:
        lines = self._line + piece
        if has_long_line(lines, limit):
            self._drop_pieces(Flaw.LONG_LINE)
        else:
            self._line = lines[lines.rfind(b"\n") + 1 :]


class DataReader(ContentReader):
    """The content that follows DATA: it tells where it ends."""

    _stuffs = True

    def feed(self, buffer: bytearray) -> bool:
        """Take what belongs to the message off the front of *buffer*; True when it is complete."""
        lines = self._open
        known = len(lines)
        lines += buffer
        end = self._find_end(max(known - len(_END) + 1, 0))
        if end < 0:
            buffer.clear()
            if self.received_octets > self._limit + len(_END) - len(_BEFORE):
                self.give_up()
            else:
                self._make_piece()
            return False
        del buffer[: end + len(_END) - known]
        self._finish_piece(end + len(_BEFORE), last=True)
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


class ChunkReader(ContentReader):
    """The content that BDAT brings: nothing in it is an end, or a dot too many (RFC 3030)."""

    def feed(self, buffer: bytearray, octets: int) -> int:
        """Take up to *octets* octets off the front of *buffer*; how many they were."""
        before = len(self._open)
        self._open += memoryview(buffer)[:octets]
        taken = len(self._open) - before
        del buffer[:taken]
        if self.received_octets > self._limit:
            self.give_up()
        else:
            self._make_piece()
        return taken

    def finish(self) -> None:
        """The message is complete; a last line without its end gets one."""
        self._finish_piece(len(self._open), last=True)
        if self._pieces and not self._pieces[-1].endswith(b"\n"):
            self._keep(b"\r\n")
