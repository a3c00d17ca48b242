"""Both signers make the same signatures, and never a wrong one."""

import ctypes
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from policy import signing
from policy.core.dkim import Unsigned
from policy.signing import OneByOne, SideBySide, Signer, best
from posthouse.mail.dkim_key import Algorithm, SigningKey
from posthouse.running.keys import generate
from servers.rsa_keys import rsa_key


def of_size(bits: int, exponent: int = 65537) -> bytes:
    private = rsa.generate_private_key(exponent, bits)
    return private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def key(pkcs8: bytes, algorithm: Algorithm = Algorithm.RSA) -> SigningKey:
    return SigningKey.load("sender.example", "s1", algorithm, pkcs8)


RSA = [key(rsa_key(number)) for number in range(3)]
ED25519 = key(generate(Algorithm.ED25519), Algorithm.ED25519)
OTHERS = [ED25519, key(of_size(1024)), key(of_size(3072)), key(of_size(2048, 3))]
PROCESSOR = re.search(r"\b(avx512ifma|avx_ifma)\b", Path("/proc/cpuinfo").read_text("utf-8"))


@pytest.fixture
def side_by_side() -> SideBySide:
    found = best()
    if isinstance(found, OneByOne) and not PROCESSOR:
        pytest.skip("this processor has no IFMA: it cannot sign side by side")
    assert isinstance(found, SideBySide), "the processor could, but libcrypto_mb is not installed"
    return found


@pytest.fixture
def one_by_one() -> OneByOne:
    return OneByOne()


@pytest.fixture(params=["one_by_one", "side_by_side"])
def signer(request: pytest.FixtureRequest) -> Signer:
    found: Signer = request.getfixturevalue(request.param)
    return found


def wanted(keys: Sequence[SigningKey]) -> list[Unsigned]:
    return [Unsigned(key, b"%d" % n, b"") for n, key in enumerate(keys)]


def right(some: Sequence[Unsigned]) -> list[bytes]:
    return [one.key.sign(one.data) for one in some]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 11, 17])
def test_each_gets_its_own_signature(signer: Signer, count: int) -> None:
    some = wanted([RSA[n % len(RSA)] for n in range(count)])
    assert list(signer.sign(some)) == right(some)


def test_keys_of_every_kind_go_together(signer: Signer) -> None:
    some = wanted([*OTHERS, *RSA, *OTHERS, *RSA, *OTHERS])
    assert list(signer.sign(some)) == right(some)


@pytest.mark.parametrize("spoiled", [[0], [2], [0, 1, 2, 3]])
def test_a_fault_of_the_machine_gives_no_key_away(
    side_by_side: SideBySide, spoiled: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signature computed from one spoiled half is enough to compute the key."""
    plain: Callable[..., Any] = side_by_side._private

    def faulty(padded: Any, signatures: Any, *rest: Any) -> None:
        plain(padded, signatures, *rest)
        for lane in spoiled:
            ctypes.c_ubyte.from_address(signatures[lane] + 100).value ^= 1

    monkeypatch.setattr(side_by_side, "_private", faulty)
    some = wanted([*RSA, RSA[0]])
    assert list(side_by_side.sign(some)) == right(some)


def test_on_another_processor_it_signs_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    library = SimpleNamespace(mbx_is_crypto_mb_applicable=lambda _: 0)
    monkeypatch.setattr(signing, "_library", lambda: library)
    assert isinstance(best(), OneByOne)


def test_without_the_library_it_signs_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "_LIBRARY", "libno_such.so.1")
    assert isinstance(best(), OneByOne)
