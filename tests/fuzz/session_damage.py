"""Damages SMTP sessions: those of tests/dialogs/server, cut, repeated, shuffled and spliced."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

_LONGEST = 3_000  # octets of a damaged session
_DIALOGS = Path(__file__).parents[1] / "dialogs" / "server"
_PIECES = (
    b"\r", b"\n", b"\r\n", b"\0", b".", b"\r\n.\r\n", b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r",
    b"\r\n.\r\r\n", b"\r\r\n", b"\r\n\0.\r\n", b" ", b"\t", b"\xff", b"\xe2\x80\x8b", b"A: b\r\n",
    b"EHLO x\r\n", b"HELO x\r\n", b"MAIL FROM:<jo@a.example>\r\n", b"RCPT TO:<x@there.example>\r\n",
    b"MAIL FROM:<> SIZE=5 BODY=8BITMIME SMTPUTF8\r\n", b"RCPT TO:<y@a.example> NOTIFY=NEVER\r\n",
    b"DATA\r\n", b"BDAT 0\r\n", b"BDAT 0 LAST\r\n", b"BDAT 5\r\n", b"BDAT 9 LAST\r\n",
    b"BDAT 40\r\n", b"BDAT 2000 LAST\r\n", b"BDAT x\r\n", b"bdat 3 last\r\n", b"RSET\r\n",
    b"NOOP\r\n", b"QUIT\r\n", b"AUTH LOGIN\r\n", b"AUTH PLAIN AHVzZXIAc2VjcmV0\r\n",
    b"AUTH PLAIN\r\n", b"*\r\n", b"VRFY x\r\n", b"AHVzZXIAc2VjcmV0\r\n", b"STARTTLS\r\n",
    b"=\r\n", b"x" * 1_100 + b"\r\n",
)  # fmt: skip


def sessions() -> list[bytes]:
    """What the client says in each dialog."""
    return [_said(path) for path in sorted(_DIALOGS.glob("*.smtp"))]


def _said(path: Path) -> bytes:
    lines = (line[3:] for line in path.read_text().splitlines() if line.startswith("C:"))
    text = "".join(f"{line}\r\n" for line in lines)
    for written, meant in (("\\r", "\r"), ("\\n", "\n"), ("\\0", "\0")):
        text = text.replace(written, meant)
    return text.encode()


def damaged_session(random: Random, whole: Sequence[bytes]) -> bytes:
    """One of *whole*, damaged in up to twelve places."""
    session = random.choice(whole)
    if random.random() < 0.5:  # most dialogs stop where a message would begin
        session += b"EHLO x\r\n" + random.choice(whole)
    for _ in range(random.choice((0, 1, 1, 2, 3, 5, 8, 12))):
        session = _damaged(random, session, whole)[:_LONGEST]
    return session


def _damaged(random: Random, session: bytes, whole: Sequence[bytes]) -> bytes:
    begin = random.randrange(len(session) + 1)
    end = min(begin + random.choice((1, 2, 5, 20, 100)), len(session))
    before, there, after = session[:begin], session[begin:end], session[end:]
    kind = random.randrange(8)
    if kind == 0:
        there = b""
    elif kind == 1:
        there = random.randbytes(len(there))
    elif kind == 2:
        there *= random.choice((2, 3, 10))
    elif kind == 3:
        after = random.choice(whole)[-random.randrange(1, 200) :]
    elif kind == 4:
        lines = session.split(b"\r\n")
        random.shuffle(lines)
        return b"\r\n".join(lines)
    elif kind == 5:
        return session.replace(b"\r\n", random.choice((b"\n", b"\r", b"\r\r\n")), 1)
    else:
        there = random.choice(_PIECES) + there
    return before + there + after
