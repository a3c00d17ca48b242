"""Where keys come from: the one place that makes them."""

import asyncio
import os
from collections.abc import Collection, Iterable
from datetime import date
from typing import assert_never

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from posthouse.mail.dkim_key import Algorithm, PrivateKey, check, record
from posthouse.mail.secret import NONCE_OCTETS, seal
from posthouse.mail.selectors import free_selector, slots
from posthouse.store.accounts import KeyState, NewKey
from posthouse.store.key_rotations import KeyRotations


class NoFreeSelector(Exception):
    """A domain has a key under each selector that it may have."""


_RSA_BITS = 2048  # RFC 8301 section 3.2: longer ones do not fit every resolver's answer


def generate(algorithm: Algorithm) -> bytes:
    """A new DKIM private key as PKCS#8 (DER), not encrypted: seal it before it is stored.

    RSA takes some 100 ms of CPU; call it from a thread where that matters.
    """
    key: PrivateKey
    match algorithm:
        case Algorithm.RSA:
            key = generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
        case Algorithm.ED25519:
            key = Ed25519PrivateKey.generate()
        case _:
            assert_never(algorithm)
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def make_keys(
    algorithms: Iterable[Algorithm],
    sealing_key: bytes,
    today: date,
    taken: Collection[str] = (),
    *,
    in_slots: bool = False,
) -> tuple[NewKey, ...]:
    """A new DKIM key for each of *algorithms*, sealed, under a selector that is not *taken*.

    *in_slots*: see `free_selector`. Raises NoFreeSelector.
    """
    return tuple(
        _new_key(algorithm, _selector(algorithm, today, taken, in_slots=in_slots), sealing_key)
        for algorithm in algorithms
    )


def _selector(algorithm: Algorithm, today: date, taken: Collection[str], *, in_slots: bool) -> str:
    found = free_selector(algorithm, today, taken, in_slots=in_slots)
    if found is None:
        raise NoFreeSelector(
            f"both selectors that its CNAME records have are in use: {', '.join(slots(algorithm))}"
        )
    return found


def _new_key(algorithm: Algorithm, selector: str, sealing_key: bytes) -> NewKey:
    pkcs8 = generate(algorithm)
    return NewKey(
        selector=selector,
        algorithm=algorithm.value,
        sealed=seal(pkcs8, sealing_key, os.urandom(NONCE_OCTETS)),
        record=record(check(algorithm, pkcs8)),
    )


async def begin_rotation(
    rotations: KeyRotations, domain: str, sealing_key: bytes, today: date, actor: str
) -> tuple[NewKey, ...]:
    """Make a key for each kind that signs for *domain*, and start a rotation; none: one runs.

    Raises NoFreeSelector.
    """
    rows = await rotations.keys(domain)
    kinds = {row["algorithm"] for row in rows if row["state"] == KeyState.ACTIVE}
    keys = await asyncio.to_thread(  # RSA takes long
        make_keys,
        [kind for kind in Algorithm if kind in kinds],
        sealing_key,
        today,
        {row["selector"] for row in rows},
        in_slots=any(row["key_zone"] is not None for row in rows),
    )
    return keys if keys and await rotations.start(domain, keys, actor) else ()
