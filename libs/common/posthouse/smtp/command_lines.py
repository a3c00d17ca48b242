"""The lines of a client's commands, off the front of what it sent."""

from posthouse.mail.reply import Reply
from posthouse.smtp import replies

_LINE_LIMIT = 65_536  # octets of a line that are buffered; a command may have fewer


class CommandLines:
    """Takes one line after another; of one without end no more than a limit is kept."""

    def __init__(self) -> None:
        self._overlong = False  # the line that is coming in is too long already

    def take(self, received: bytearray) -> bytes | Reply | None:
        """The next line with its end; None when it has not come yet."""
        end = received.find(b"\n") + 1
        if not end:
            if len(received) > _LINE_LIMIT:
                self._overlong = True
                received.clear()
            return None
        line = bytes(received[:end])
        del received[:end]
        if self._overlong or end > _LINE_LIMIT:
            self._overlong = False
            return replies.LINE_TOO_LONG
        return line


def leaves(response: bytes | Reply) -> bool:
    """Whether *response*, to a challenge, is QUIT, which as base64 would be no text at all."""
    return isinstance(response, bytes) and response.upper() == b"QUIT\r\n"
