"""Bytes of an SMTP server into replies (RFC 5321 section 4.2), however they were cut."""

from functools import lru_cache

from posthouse.mail.reply import Reply

# Octets of a reply that are kept; what comes after them is cut. RFC 5321 section 4.5.3.1.5 allows
# 512 a line, and servers exceed it with links and long texts.
REPLY_LIMIT = 1 << 16
# A reply of more octets has no end.
ENDLESS = 1 << 20

_CODE_LENGTH = 3
_SHORT = 512  # octets of a line that is worth remembering


class GarbledReply(ValueError):
    """The server does not speak SMTP; the text says what was seen."""


class ReplyReader:
    """Collects lines until a reply is complete. Fed and emptied by one conversation."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[str] = []
        self._kept = 0  # characters of these lines
        self._octets = 0  # of the unfinished reply

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left of an unfinished reply."""
        return not (self._rest or self._lines)

    def feed(self, data: bytes) -> list[Reply]:
        """Take what arrived, return the replies it completes; raises GarbledReply.

        A lone LF ends a line too: it makes no difference here.
        """
        self._octets += len(data)
        *lines, rest = (self._rest + data).split(b"\n")
        replies = []
        for line in lines:
            if not self._lines and line[_CODE_LENGTH : _CODE_LENGTH + 1] != b"-":
                replies.append((_known if len(line) <= _SHORT else _one_line_reply)(line))
            elif (reply := self._of_many(line)) is not None:
                replies.append(reply)
        if replies:
            self._octets = len(rest)
        if self._octets > ENDLESS:
            raise GarbledReply("a reply without end")
        self._rest = rest[:REPLY_LIMIT]
        return replies

    def clear(self) -> None:
        """Forget everything that is not a complete reply yet."""
        self._rest = b""
        self._lines = []
        self._kept = self._octets = 0

    def _of_many(self, raw: bytes) -> Reply | None:
        """Take a line of several; the reply if it was the last."""
        code, divider, text = _parts(raw)
        if self._kept + len(text) <= REPLY_LIMIT or not self._lines:
            self._lines.append(text)
            self._kept += len(text)
        if divider == b"-":
            return None
        # Where the codes of the lines differ, the last one counts, as in other clients.
        reply = Reply.from_lines(code, tuple(self._lines))
        self._lines = []
        self._kept = 0
        return reply


def _one_line_reply(raw: bytes) -> Reply:
    code, _, text = _parts(raw)
    return Reply.from_lines(code, (text,))


# A server says the same few things for every message.
_known = lru_cache(maxsize=1024)(_one_line_reply)


def _parts(raw: bytes) -> tuple[int, bytes, str]:
    """Code, what divides it from the text, and the text."""
    line = raw.removesuffix(b"\r")[:REPLY_LIMIT]
    code, divider = line[:_CODE_LENGTH], line[_CODE_LENGTH : _CODE_LENGTH + 1]
    plausible = len(code) == _CODE_LENGTH and code.isdigit() and b"2" <= code[:1] <= b"5"
    if not plausible or divider not in (b" ", b"-", b""):
        raise GarbledReply(f"not an SMTP reply: {line[:80]!r}")
    return int(code), divider, _shown(line[_CODE_LENGTH + 1 :])


def _shown(text: bytes) -> str:
    """The text fit for logs and the database: no control characters, no broken UTF-8."""
    shown = text.decode("utf-8", "replace")
    if shown.isprintable():
        return shown
    return "".join(character if character.isprintable() else " " for character in shown)
