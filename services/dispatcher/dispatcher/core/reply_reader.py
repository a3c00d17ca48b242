"""Bytes of an SMTP server into replies (RFC 5321 section 4.2), however they were cut."""

from functools import lru_cache

from posthouse.mail.reply import Reply

# RFC 5321 section 4.5.3.1.5 allows 512 octets a line; servers exceed it with links and long texts.
LINE_LIMIT = 4096
# An EHLO reply has some twenty lines.
LINES_LIMIT = 128

_CODE_LENGTH = 3


class GarbledReply(ValueError):
    """The server does not speak SMTP; the text says what was seen."""


class ReplyReader:
    """Collects lines until a reply is complete. Fed and emptied by one conversation."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[str] = []

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left of an unfinished reply."""
        return not (self._rest or self._lines)

    def feed(self, data: bytes) -> list[Reply]:
        """Take what arrived, return the replies it completes; raises GarbledReply.

        A lone LF ends a line too: it makes no difference here.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_LIMIT:
            raise GarbledReply("a reply line without end")
        replies = []
        for line in lines:
            if not self._lines and line[_CODE_LENGTH : _CODE_LENGTH + 1] != b"-":
                replies.append(_one_line_reply(line))
            elif (reply := self._of_many(line)) is not None:
                replies.append(reply)
        return replies

    def clear(self) -> None:
        """Forget everything that is not a complete reply yet."""
        self._rest = b""
        self._lines = []

    def _of_many(self, raw: bytes) -> Reply | None:
        """Take a line of several; the reply if it was the last."""
        code, divider, text = _parts(raw)
        self._lines.append(text)
        if divider == b"-":
            if len(self._lines) >= LINES_LIMIT:
                raise GarbledReply("a reply without end")
            return None
        # Where the codes of the lines differ, the last one counts, as in other clients.
        reply = Reply.from_lines(code, tuple(self._lines))
        self._lines = []
        return reply


# A server says the same few things for every message.
@lru_cache(maxsize=1024)
def _one_line_reply(raw: bytes) -> Reply:
    code, _, text = _parts(raw)
    return Reply.from_lines(code, (text,))


def _parts(raw: bytes) -> tuple[int, bytes, str]:
    """Code, what divides it from the text, and the text."""
    line = raw.removesuffix(b"\r")
    code, divider = line[:_CODE_LENGTH], line[_CODE_LENGTH : _CODE_LENGTH + 1]
    plausible = len(code) == _CODE_LENGTH and code.isdigit() and b"2" <= code[:1] <= b"5"
    if not plausible or divider not in (b" ", b"-", b"") or len(line) > LINE_LIMIT:
        raise GarbledReply(f"not an SMTP reply: {line[:80]!r}")
    return int(code), divider, _shown(line[_CODE_LENGTH + 1 :])


def _shown(text: bytes) -> str:
    """The text fit for logs and the database: no control characters, no broken UTF-8."""
    shown = text.decode("utf-8", "replace")
    if shown.isprintable():
        return shown
    return "".join(character if character.isprintable() else " " for character in shown)
