"""Line ends as programs write them, made the only one that mail has: CRLF (RFC 5321 section 2.3.8).

- A bare LF becomes CRLF. So does an LF with several CRs before it, as PHP and MIME::Lite write it.
- A bare CR becomes CRLF in the body. In the header it becomes a blank: else it would begin a field.
- A NUL is dropped.
- Where a dot that begins a line was doubled, one is removed, behind a bare LF too. A line that is
  one dot, and no end of data all the same, is dropped, as Postfix does since 3.9.
"""

# CRs before an LF that belong to its line end; what is before them is bare.
MOST_CRS = 7
_STEPS = (4, 2, 1)  # so many of them at a time: a line of CRs costs no more than another

BARE_LF, BARE_CR, SEVERAL_CRS, NUL = "bare LF", "bare CR", "CR before CRLF", "NUL"


class LineCleaner:
    """Cleans one message, piece by piece; linear, and never more than a piece at a time.

    It makes no difference where the message is cut, as long as no cut is within the CRs before an
    LF, or between a dot that begins a line and those.
    """

    def __init__(self, *, stuffed: bool) -> None:
        """*stuffed*: dots that begin a line were doubled (RFC 5321 section 4.5.2)."""
        self._stuffed = stuffed
        self._begins_line = True  # the next piece as it comes,
        self._begins_clean_line = True  # and when it is clean
        self._in_header = True
        self.found: set[str] = set()  # what had to be cleaned

    def clean(self, piece: bytes) -> bytes:
        """*piece*, which follows what was cleaned before, with CRLF as its only line end."""
        text = self._with_lf(piece)
        if self._stuffed:
            text = self._unstuffed(text)
        self._begins_line = piece.endswith(b"\n")
        text = text.replace(b"\0", b"")
        end = self._end_of_header(text) if self._in_header else 0
        text = text[:end].replace(b"\r", b" ") + text[end:].replace(b"\r", b"\n")
        return text.replace(b"\n", b"\r\n")

    def skip(self, piece: bytes) -> None:
        """Take note of *piece*, which follows, and needs no cleaning."""
        self._begins_line = piece.endswith(b"\n")
        if self._in_header:
            self._end_of_header(piece.replace(b"\r", b""))

    def _with_lf(self, piece: bytes) -> bytes:
        """*piece* with LF for LF and the CRs before it."""
        if b"\0" in piece:
            self.found.add(NUL)
        if piece.count(b"\n") > piece.count(b"\r\n"):
            self.found.add(BARE_LF)
        if b"\r" not in piece:  # as in most messages that need cleaning
            return piece
        if b"\r\r\n" in piece:
            self.found.add(SEVERAL_CRS)
        for crs in _STEPS:
            piece = piece.replace(b"\r" * crs + b"\n", b"\n")
        if b"\r" in piece:
            self.found.add(BARE_CR)
        return piece

    def _unstuffed(self, text: bytes) -> bytes:
        text = (b"\n" if self._begins_line else b" ") + text
        if b"\n." not in text:
            return text[1:]
        while b"\n.\n" in text:  # each time half of those in a row
            text = text.replace(b"\n.\n", b"\n")
        return text.replace(b"\n.", b"\n")[1:]

    def _end_of_header(self, text: bytes) -> int:
        """Where the body begins in *text*, whose line ends are LF: behind the first empty line."""
        before = b"\n" if self._begins_clean_line else b" "
        end = (before + text).find(b"\n\n") + 1
        if end:
            self._in_header = False
            return end
        if text:
            self._begins_clean_line = text.endswith(b"\n")
        return len(text)
