"""What the octets of a client and the replies to them say together, read in the slowest way.

One reply answers one line, one response, one chunk or one message; a message is what stands between
its 354 and CRLF.CRLF, or in its chunks. Nothing else is a message.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from posthouse.mail.line_ends import LineCleaner
from posthouse.mail.message import has_bare_line_end
from posthouse.smtp.commands import LINE_LIMIT
from posthouse.smtp.data import Flaw

_BDAT = re.compile(rb"BDAT +([0-9]{1,20})( +LAST)? *\r\n", re.IGNORECASE)
_CHALLENGE, _GO_ON, _LEAVING, _OK = 334, 354, (220, 221, 421), 250

Heard = tuple[int, bytes | Flaw]
"""How many recipients a message has, and its content."""


def codes(output: bytes) -> list[int]:
    """The code of each reply in *output*, which has nothing but whole replies."""
    lines = output.split(b"\r\n")
    assert b"" == lines.pop(), "a reply does not end"
    for line in lines:
        assert re.fullmatch(rb"[2-5][0-9][0-9][ -][ -~]*", line), line
        assert len(line) <= 510, line  # RFC 5321 section 4.5.3.1.5
    return [int(line[:3]) for line in lines if line[3:4] == b" "]


@dataclass
class Model:
    """Walks over what a client said, with the replies it got."""

    said: bytes
    cleans: bool
    limit: int
    replies: Iterator[int]
    at: int = 0
    commands: int = 0
    recipients: int = 0
    chunks: list[bytes] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)

    def walk(self) -> None:
        """Read to the end, or to where one of both leaves."""
        code: int | None = 0
        while (line := self._line()) is not None:
            is_chunk = code != _CHALLENGE and len(line) <= LINE_LIMIT and _BDAT.fullmatch(line)
            code = self._chunk(line) if is_chunk else next(self.replies, None)
            if code is None:
                return
            if code == _CHALLENGE:
                continue
            self.commands += code != _GO_ON
            if code in _LEAVING:
                return
            if code == _GO_ON and not self._data():
                return
            self._note(line, code)

    def _line(self) -> bytes | None:
        end = self.said.find(b"\n", self.at) + 1
        line, self.at = (self.said[self.at : end], end) if end else (b"", self.at)
        return line or None

    def _note(self, line: bytes, code: int) -> None:
        verb = line[:4].upper()
        if verb == b"RCPT" and code == _OK:
            self.recipients += 1
        elif code == _OK and verb in (b"MAIL", b"RSET", b"EHLO", b"HELO"):
            self.recipients = 0
            self.chunks.clear()

    def _data(self) -> bool:
        """A message follows; whether it ends, and its reply was good for going on."""
        start = self.at - 2  # the line end of DATA itself
        end = self.said.find(b"\r\n.\r\n", start)
        if end < 0:
            return False
        self.at = end + 5
        self._hear(self.said[start + 2 : end + 2], stuffed=True)
        self.commands += 1
        return next(self.replies) not in _LEAVING

    def _chunk(self, line: bytes) -> int | None:
        match = _BDAT.fullmatch(line)
        assert match is not None
        size, last = int(match[1]), bool(match[2])
        if self.at + size > len(self.said):
            return None
        self.chunks.append(self.said[self.at : self.at + size])
        self.at += size
        code = next(self.replies, None)
        if last or code != _OK:
            self._hear(b"".join(self.chunks), stuffed=False)
            self.chunks.clear()
        return code

    def _hear(self, content: bytes, *, stuffed: bool) -> None:
        """The message is heard so, if it is heard at all."""
        recipients, self.recipients = self.recipients, 0
        self.heard.append((recipients, self._as_kept(content, stuffed=stuffed)))

    def _as_kept(self, content: bytes, *, stuffed: bool) -> bytes | Flaw:
        if len(content) > self.limit:
            return Flaw.TOO_BIG
        if has_bare_line_end(content) and not self.cleans:
            return Flaw.BARE_LINE_END
        clean = LineCleaner(stuffed=stuffed).clean(content)
        if clean and not clean.endswith(b"\n"):
            clean += b"\r\n"
        return clean if len(clean) <= self.limit else Flaw.TOO_BIG
