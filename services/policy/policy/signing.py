"""Makes signatures: one by one, or several RSA ones side by side where the processor can.

One RSA-2048 signature takes OpenSSL 0.36 ms, more than all else that policy does for a message.
Intel's crypto_mb (Apache 2.0, in the wheel ipp-crypto) makes eight in two and a half times that,
in the wide registers of processors with IFMA (by AVX-512: Intel since Ice Lake, AMD since Zen 4).
"""

import ctypes
import sys
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from policy.core.dkim import Unsigned
from posthouse.mail.dkim_key import PrivateKey

_LIBRARY = "libcrypto_mb.so.13"  # the number is that of its interface
_AT_ONCE = 8
_WORTH_IT = 3  # fewer are made faster one by one
_BITS, _OCTETS, _EXPONENT = 2048, 256, 65537
# EMSA-PKCS1-v1_5 (RFC 8017 section 9.2), without the hash.
_SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
_PADDING = b"\0\1" + b"\xff" * (_OCTETS - 3 - len(_SHA256_INFO) - 32) + b"\0" + _SHA256_INFO

log = structlog.get_logger()


class Signer(Protocol):
    """Makes signatures."""

    at_once: int  # signatures that cost little more than one when they are made together
    reason: str  # why that is only one; "" if it is not

    def sign(self, wanted: Sequence[Unsigned]) -> Sequence[bytes]:
        """A signature for each of *wanted*, as `SigningKey.sign` makes it; never a wrong one."""


class OneByOne:
    """For any processor."""

    at_once = 1

    def __init__(self, reason: str = "") -> None:
        self.reason = reason

    def sign(self, wanted: Sequence[Unsigned]) -> Sequence[bytes]:
        """See Signer."""
        return [one.key.sign(one.data) for one in wanted]


class _Parts(NamedTuple):
    """Numbers of a private key, each with its lowest octet first."""

    p: bytes
    q: bytes
    dp: bytes
    dq: bytes
    inverse: bytes  # of q modulo p
    modulus: bytes


class SideBySide:
    """RSA-2048 by eights, everything else one by one; for one thread at a time."""

    at_once = _AT_ONCE
    reason = ""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._private = _operation(library.mbx_rsa_private_crt_mb8, arrays=7)
        self._public = _operation(library.mbx_rsa_public_mb8, arrays=3)
        self._private_method = _method(library.mbx_RSA2K_private_crt_Method)
        self._public_method = _method(library.mbx_RSA2K_pub65537_Method)
        octets_for = library.mbx_RSA_Method_BufSize
        octets_for.argtypes = [ctypes.c_void_p]
        octets = max(octets_for(self._private_method), octets_for(self._public_method))
        self._scratch = ctypes.create_string_buffer(octets)

    def sign(self, wanted: Sequence[Unsigned]) -> Sequence[bytes]:
        """See Signer."""
        made: dict[int, bytes] = {}
        fit = [(at, p, w.data) for at, w in enumerate(wanted) if (p := _parts(w.key.private))]
        for first in range(0, len(fit), _AT_ONCE):
            eight = fit[first : first + _AT_ONCE]
            if len(eight) >= _WORTH_IT:
                places, parts, data = zip(*eight, strict=True)
                made |= {places[at]: octets for at, octets in self._eight(parts, data).items()}
        return [made.get(at) or one.key.sign(one.data) for at, one in enumerate(wanted)]

    def _eight(self, keys: Sequence[_Parts], data: Sequence[bytes]) -> dict[int, bytes]:
        """Signatures of *data* by their places; wrong ones are left out.

        Each is checked with the public half, as OpenSSL does with its own: a signature that a
        hardware fault has corrupted would reveal the key.
        """
        padded = [_PADDING + sha256(one).digest() for one in data]
        signatures, checked = _Written(len(padded)), _Written(len(padded))
        private = [_pointers(column) for column in list(zip(*keys, strict=True))[:-1]]
        moduli = _pointers([key.modulus for key in keys])
        pointers, scratch = signatures.pointers, self._scratch
        how = (_BITS, self._private_method, scratch)
        self._private(_pointers(padded), pointers, *private, *how)
        self._public(pointers, checked.pointers, moduli, _BITS, self._public_method, scratch)
        right = {at for at, one in enumerate(padded) if checked[at] == one}
        if len(right) < len(padded):
            log.error("signatures_wrong", wrong=len(padded) - len(right), of=len(padded))
        return {at: signatures[at] for at in right}


@lru_cache(maxsize=256)  # takes 40 us; keys are loaded once for as long as their row is the same
def _parts(private: PrivateKey) -> _Parts | None:
    """The numbers of an RSA-2048 key with the usual exponent; None for any other key."""
    if not isinstance(private, RSAPrivateKey) or private.key_size != _BITS:
        return None
    numbers = private.private_numbers()
    public = numbers.public_numbers
    halves = (numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
    if public.e != _EXPONENT or any(half.bit_length() > _BITS // 2 for half in halves):
        return None
    p, q, dp, dq, inverse = (half.to_bytes(_OCTETS // 2, "little") for half in halves)
    return _Parts(p, q, dp, dq, inverse, public.n.to_bytes(_OCTETS, "little"))


class _Written:
    """Where the library writes its numbers."""

    def __init__(self, count: int) -> None:
        self._octets = ctypes.create_string_buffer(count * _OCTETS)
        self._start = start = ctypes.addressof(self._octets)
        self.pointers = (ctypes.c_void_p * _AT_ONCE)(*(start + _OCTETS * at for at in range(count)))

    def __getitem__(self, at: int) -> bytes:
        return ctypes.string_at(self._start + _OCTETS * at, _OCTETS)


def _pointers(numbers: Sequence[bytes]) -> "ctypes.Array[ctypes.c_char_p]":
    """Eight pointers; the library skips those that are null."""
    return (ctypes.c_char_p * _AT_ONCE)(*numbers)


def _operation(function: Any, *, arrays: int) -> Any:
    """A function of *arrays* of pointers, the size of a key, a method and scratch memory."""
    function.argtypes = [ctypes.c_void_p] * arrays + [ctypes.c_int] + [ctypes.c_void_p] * 2
    function.restype = ctypes.c_uint64
    return function


def _method(function: Any) -> Any:
    function.restype = ctypes.c_void_p
    return function()


def best() -> Signer:
    """The fastest signer for this machine."""
    try:
        library = _library()
    except OSError as error:
        return OneByOne(str(error))
    if not library.mbx_is_crypto_mb_applicable(ctypes.c_uint64(0)):
        return OneByOne("the processor has no IFMA")
    return SideBySide(library)


def _library() -> ctypes.CDLL:
    """The library of this environment, or of the system. Raises OSError."""
    own = Path(sys.prefix, "lib", _LIBRARY)
    return ctypes.CDLL(str(own) if own.exists() else _LIBRARY)
