"""SASL mechanisms of AUTH, each a conversation without a socket (RFC 4954, RFC 4422).

An exchange takes the responses of the client one by one, decoded, and gives for each the next
challenge, a refusal, or what the caller has to judge.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, TypeAlias

from posthouse.mail.reply import Reply
from posthouse.smtp import commands, replies
from posthouse.smtp.commands import Credentials

CHALLENGE = 334

_GS2_HEADER = re.compile(r"([ny]),(?:a=([^,]*))?,")  # RFC 5802 section 7: no channel binding
_CRAM_RESPONSE = re.compile(rb"(.+) ([0-9a-f]{32})", re.DOTALL)
_PROOF_OCTETS = 32


class CramResponse(NamedTuple):
    """A digest of the challenge under the secret (RFC 2195)."""

    username: str
    challenge: bytes
    digest: str  # HMAC-MD5 in hexadecimal


class ScramRequest(NamedTuple):
    """A client begins SCRAM: its salt and iterations are needed; `SmtpServer.send_salt`."""

    username: str


class ScramProof(NamedTuple):
    """The proof of a client that knows the secret (RFC 5802 section 3)."""

    username: str
    auth_message: bytes
    proof: bytes


Proof: TypeAlias = Credentials | CramResponse | ScramProof
Step: TypeAlias = Reply | ScramRequest | Proof
Draw: TypeAlias = Callable[[], str]
"""Makes a text that nobody can foresee, of printable ASCII without comma, blank or angle."""


class Exchange(Protocol):
    """One conversation."""

    @property
    def first_challenge(self) -> Reply:
        """What is said to AUTH without an initial response."""

    def take(self, response: bytes) -> Step:
        """The next response of the client."""


def challenge(text: bytes) -> Reply:
    """*text* as a challenge (RFC 4954 section 4)."""
    return Reply(CHALLENGE, b64encode(text).decode())


class PlainExchange:
    """Authorization identity, user name and secret in one response (RFC 4616)."""

    first_challenge = Reply(CHALLENGE, "")

    def take(self, response: bytes) -> Step:
        """As Exchange promises."""
        return commands.read_plain(response)


class LoginExchange:
    """User name, then secret: older than any RFC, and what Outlook speaks."""

    first_challenge = challenge(b"Username:")

    def __init__(self) -> None:
        self._username: bytes | None = None

    def take(self, response: bytes) -> Step:
        """As Exchange promises."""
        if self._username is None:
            self._username = response
            return challenge(b"Password:")
        return commands.read_login(self._username, response)


class CramExchange:
    """A digest of our challenge (RFC 2195); the secret has to be known to check it."""

    def __init__(self, text: str) -> None:
        """*text*: nobody foresees it."""
        self._challenge = f"<{text}>".encode()

    @property
    def first_challenge(self) -> Reply:
        """As Exchange promises."""
        return challenge(self._challenge)

    def take(self, response: bytes) -> Step:
        """As Exchange promises."""
        found = _CRAM_RESPONSE.fullmatch(response)
        try:
            username = found[1].decode() if found else ""
        except UnicodeDecodeError:
            return replies.AUTH_GARBLED
        if found is None:
            return replies.AUTH_GARBLED
        return CramResponse(username, self._challenge, found[2].decode())


class ScramExchange:
    """SCRAM-SHA-256 without channel binding (RFC 5802, RFC 7677)."""

    first_challenge = Reply(CHALLENGE, "")

    def __init__(self, nonce: str) -> None:
        """*nonce*: our part of it, which nobody foresees."""
        self._own_nonce = nonce
        self._nonce = self._username = self._gs2 = self._first_bare = self._server_first = ""

    def take(self, response: bytes) -> Step:
        """As Exchange promises."""
        try:
            text = response.decode()
        except UnicodeDecodeError:
            return replies.AUTH_GARBLED
        return self._final(text) if self._server_first else self._first(text)

    def send_salt(self, salt: bytes, iterations: int) -> Reply:
        """The challenge with the salt of the user, or one that stands in for it."""
        self._server_first = f"r={self._nonce},s={b64encode(salt).decode()},i={iterations}"
        return challenge(self._server_first.encode())

    def _first(self, text: str) -> Step:
        header = _GS2_HEADER.match(text)
        if header is None:
            return replies.AUTH_GARBLED
        self._gs2, self._first_bare = header[0], text[header.end() :]
        fields = self._first_bare.split(",")
        if len(fields) < 2 or fields[0][:2] != "n=" or fields[1][:2] != "r=" or not fields[1][2:]:  # noqa: PLR2004
            return replies.AUTH_GARBLED
        self._username = _unescaped(fields[0][2:])
        self._nonce = fields[1][2:] + self._own_nonce
        if header[2] and _unescaped(header[2]) != self._username:
            return replies.AUTH_GARBLED  # nobody acts for another
        return ScramRequest(self._username)

    def _final(self, text: str) -> Step:
        without_proof, _, proof = text.rpartition(",p=")
        binding = b64encode(self._gs2.encode()).decode()
        if without_proof.split(",")[:2] != [f"c={binding}", f"r={self._nonce}"]:
            return replies.AUTH_GARBLED
        try:
            octets = b64decode(proof, validate=True)
        except ValueError:
            return replies.AUTH_GARBLED
        if len(octets) != _PROOF_OCTETS:
            return replies.AUTH_GARBLED
        message = f"{self._first_bare},{self._server_first},{without_proof}"
        return ScramProof(self._username, message.encode(), octets)


class LastWord:
    """What the server says when all is proven: the client answers with nothing, or breaks off."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    @property
    def first_challenge(self) -> Reply:
        """As Exchange promises."""
        return challenge(self._text)

    def take(self, response: bytes) -> Step:
        """As Exchange promises."""
        return replies.AUTH_GARBLED if response else replies.LOGGED_IN


def _unescaped(name: str) -> str:
    return name.replace("=2C", ",").replace("=3D", "=")


# In the order in which they are offered: some clients take the first that they know.
MECHANISMS: Mapping[str, Callable[[Draw], Exchange]] = {
    "PLAIN": lambda _: PlainExchange(),
    "LOGIN": lambda _: LoginExchange(),
    "CRAM-MD5": lambda draw: CramExchange(draw()),
    "SCRAM-SHA-256": lambda draw: ScramExchange(draw()),
}
