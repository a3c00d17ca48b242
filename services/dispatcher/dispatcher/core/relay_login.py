"""A login at a relay that wants one: AUTH PLAIN, LOGIN and CRAM-MD5 (RFC 4954, 4616, 2195)."""

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass, field
from functools import lru_cache

# RFC 5321 section 4.5.3.1.4, with the line end: a longer response follows the command.
_COMMAND_LIMIT = 512
# A text that shares this many characters in a row with a secret shows too much of it.
_TELLING = 6

HIDDEN = "(not shown: it repeats our login)"


@dataclass(frozen=True, slots=True)
class RelayLogin:
    """Who we are to a relay."""

    user: str
    secret: str = field(repr=False)

    def hide(self, text: str) -> str:
        """*text* of the relay, or HIDDEN if it repeats the secret or what we said of it."""
        pieces, length = _telling(self)
        said = text.lower()
        shown = (said[at : at + length] for at in range(len(said) - length + 1))
        return text if pieces.isdisjoint(shown) else HIDDEN


@lru_cache(maxsize=16)
def _telling(login: RelayLogin) -> tuple[frozenset[str], int]:
    """The pieces that no shown text may contain, lower case, and their length."""
    texts = [login.secret.lower(), _base64(login.secret).lower(), _credentials(login).lower()]
    length = min(_TELLING, len(login.secret))
    return (
        frozenset(text[at : at + length] for text in texts for at in range(len(text) - length + 1)),
        length,
    )


_Exchange = Generator[str, str, None]  # yields what to say, and is sent the challenge to it


class LoginDialog:
    """What we say to log in, by one mechanism after the other that the relay offers.

    Encrypted, PLAIN comes first: it takes one round trip, and what CRAM-MD5 keeps from listeners
    TLS does too. In clear CRAM-MD5 comes first, which does not show the secret.
    """

    def __init__(self, login: RelayLogin, offered: Collection[str], *, encrypted: bool) -> None:
        self._login = login
        order = ("PLAIN", "LOGIN", "CRAM-MD5") if encrypted else ("CRAM-MD5", "PLAIN", "LOGIN")
        self._left = [mechanism for mechanism in order if mechanism in offered]
        self._exchange: _Exchange | None = None

    def begin(self) -> str | None:
        """The AUTH command of the next mechanism; None when there is none left."""
        if not self._left:
            return None
        self._exchange = _EXCHANGES[self._left.pop(0)](self._login)
        return next(self._exchange)

    def respond(self, challenge: str) -> str | None:
        """What to say to the text of a 334; None when there is no answer to it."""
        assert self._exchange is not None
        try:
            return self._exchange.send(challenge)
        except (StopIteration, ValueError):  # of b64decode
            return None


def _plain(login: RelayLogin) -> _Exchange:
    response = _credentials(login)
    command = f"AUTH PLAIN {response}"
    if len(command) + 2 <= _COMMAND_LIMIT:
        yield command
    else:
        yield "AUTH PLAIN"
        yield response


def _login(login: RelayLogin) -> _Exchange:
    """Described nowhere but in use everywhere: first the user is asked for, then the secret."""
    yield "AUTH LOGIN"
    yield _base64(login.user)
    yield _base64(login.secret)


def _cram_md5(login: RelayLogin) -> _Exchange:
    challenge = yield "AUTH CRAM-MD5"
    digest = hmac.new(login.secret.encode(), b64decode(challenge, validate=True), hashlib.md5)
    yield _base64(f"{login.user} {digest.hexdigest()}")


_EXCHANGES: dict[str, Callable[[RelayLogin], _Exchange]] = {
    "PLAIN": _plain,
    "LOGIN": _login,
    "CRAM-MD5": _cram_md5,
}


def _credentials(login: RelayLogin) -> str:
    """RFC 4616: we act for nobody else, so the first part is empty."""
    return _base64(f"\0{login.user}\0{login.secret}")


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode("ascii")
