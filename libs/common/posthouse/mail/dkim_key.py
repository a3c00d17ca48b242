"""A DKIM key: it signs for a domain, and a DNS record lets receivers verify that.

Keys are stored as PKCS#8 (DER), sealed. RFC 6376 for RSA, RFC 8463 for Ed25519.
"""

from base64 import b64encode
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Self, TypeAlias, assert_never

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

PrivateKey: TypeAlias = RSAPrivateKey | Ed25519PrivateKey
PublicKey: TypeAlias = RSAPublicKey | Ed25519PublicKey

_LEAST_RSA_BITS = 1024  # RFC 8301 section 3.2: verifiers must not take less
_PADDING, _HASH = PKCS1v15(), SHA256()
_TXT_STRING = 255  # RFC 1035 section 3.3: a character-string


class Algorithm(StrEnum):
    """How a signature is made: the ``a=`` tag, and the name keys are stored under."""

    RSA = "rsa-sha256"
    ED25519 = "ed25519-sha256"


class BrokenKey(ValueError):
    """These octets are no usable DKIM key."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, loaded once, with the name it is published under."""

    domain: str  # d=, an A-label where it is international
    selector: str  # s=
    algorithm: Algorithm
    private: PrivateKey

    @classmethod
    def load(cls, domain: str, selector: str, algorithm: str, pkcs8: bytes) -> Self:
        """A key that was checked when it was made or imported. Raises BrokenKey.

        The arithmetic check of an RSA key (35 ms) is not repeated: the key is tried once instead.
        """
        name = f"{selector}._domainkey.{domain}"
        private = _loaded(name, algorithm, pkcs8, checked=True)
        if isinstance(private, RSAPrivateKey):
            _try(name, private)
        return cls(domain, selector, Algorithm(algorithm), private)

    def sign(self, data: bytes) -> bytes:
        """The signature over *data*.

        It is not verified here: a key whose halves do not fit was not loaded, and OpenSSL holds
        the result of every RSA operation against the public half before it gives it out. A fault
        on the way costs it time, not us the key.
        """
        match self.private:
            case RSAPrivateKey() as private:
                return private.sign(data, _PADDING, _HASH)
            case Ed25519PrivateKey() as private:
                # RFC 8463 section 3: the hash is signed, as if it were the message. The public
                # half was computed from this private one: there is nothing that could not fit.
                return private.sign(sha256(data).digest())
            case _:
                assert_never(self.private)


def _try(name: str, private: RSAPrivateKey) -> None:
    try:
        private.public_key().verify(private.sign(b"", _PADDING, _HASH), b"", _PADDING, _HASH)
    except (InvalidSignature, ValueError) as error:
        raise BrokenKey(f"the DKIM key {name} signs what does not verify") from error


def from_pem(pem: bytes) -> tuple[Algorithm, bytes]:
    """Algorithm and PKCS#8 of a private key in an operator's file, after the full check.

    Raises BrokenKey.
    """
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BrokenKey(f"this is no private key in PEM: {error}") from error
    algorithm = Algorithm.RSA if isinstance(key, RSAPrivateKey) else Algorithm.ED25519
    pkcs8 = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    check(algorithm, pkcs8)
    return algorithm, pkcs8


def check(algorithm: str, pkcs8: bytes) -> PublicKey:
    """The public half of a key that is about to be stored, after the full arithmetic check.

    Raises BrokenKey when the octets are damaged, of another kind, or too short to be of use.
    """
    return _loaded("to be stored", algorithm, pkcs8, checked=False).public_key()


def _loaded(name: str, algorithm: str, pkcs8: bytes, *, checked: bool) -> PrivateKey:
    try:
        wanted = Algorithm(algorithm)
        key = load_der_private_key(pkcs8, None, unsafe_skip_rsa_key_validation=checked)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BrokenKey(f"the DKIM key {name} cannot be read: {error}") from error

    match wanted, key:
        case Algorithm.RSA, RSAPrivateKey():
            if key.key_size < _LEAST_RSA_BITS:
                raise BrokenKey(f"the DKIM key {name} has {key.key_size} bits, too few")
            return key
        case Algorithm.ED25519, Ed25519PrivateKey():
            return key
        case _:
            raise BrokenKey(f"the DKIM key {name} is no {wanted} key")


def record(public: PublicKey) -> str:
    """The text of the TXT record at ``<selector>._domainkey.<domain>`` (RFC 6376 section 3.6.1)."""
    match public:
        case RSAPublicKey():
            kind, octets = (
                "rsa",
                public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            )
        case Ed25519PublicKey():
            kind, octets = "ed25519", public.public_bytes_raw()
        case _:
            assert_never(public)
    return f"v=DKIM1; k={kind}; p={b64encode(octets).decode()}"


def strings(text: str) -> tuple[str, ...]:
    """*text* in pieces that fit a TXT record's strings of 255 octets; receivers join them."""
    return tuple(text[at : at + _TXT_STRING] for at in range(0, len(text), _TXT_STRING))


def zone_text(text: str) -> str:
    """*text* as a zone file wants it: quoted strings, none too long."""
    escaped = (s.replace("\\", "\\\\").replace('"', '\\"') for s in strings(text))
    return " ".join(f'"{string}"' for string in escaped)
