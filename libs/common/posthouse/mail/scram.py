"""SCRAM-SHA-256, the server's side (RFC 5802, RFC 7677): what is stored, and what proves a secret.

Who reads what is stored can neither log in nor learn the secret.
"""

import hmac
from dataclasses import dataclass
from hashlib import pbkdf2_hmac, sha256

SALT_OCTETS = 16
ITERATIONS = 4_096  # RFC 7677 section 4; enough for a secret that nobody can guess
SLOW_ITERATIONS = 600_000  # of one that could be guessed: OWASP's Password Storage Cheat Sheet
_KEY_OCTETS = 32


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What is stored of a secret (RFC 5802 section 3)."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes

    @classmethod
    def of(cls, secret: str, salt: bytes, iterations: int = ITERATIONS) -> "ScramKeys":
        """The keys of *secret*; *salt* is 16 octets drawn for it."""
        salted = pbkdf2_hmac("sha256", secret.encode("utf-8", "surrogatepass"), salt, iterations)
        client_key = _hmac(salted, b"Client Key")
        return cls(salt, iterations, sha256(client_key).digest(), _hmac(salted, b"Server Key"))

    def __bytes__(self) -> bytes:
        return self.salt + self.iterations.to_bytes(4, "big") + self.stored_key + self.server_key

    @classmethod
    def from_bytes(cls, stored: bytes) -> "ScramKeys":
        """The opposite of ``bytes()``."""
        keys = stored[SALT_OCTETS + 4 :]
        iterations = int.from_bytes(stored[SALT_OCTETS : SALT_OCTETS + 4], "big")
        return cls(stored[:SALT_OCTETS], iterations, keys[:_KEY_OCTETS], keys[_KEY_OCTETS:])

    def proves(self, auth_message: bytes, proof: bytes) -> bool:
        """Whether *proof* can only come from who knows the secret."""
        signature = _hmac(self.stored_key, auth_message)
        if len(proof) != len(signature):
            return False
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        return hmac.compare_digest(sha256(client_key).digest(), self.stored_key)

    def server_signature(self, auth_message: bytes) -> bytes:
        """Proves to the client that we know its keys."""
        return _hmac(self.server_key, auth_message)


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")
