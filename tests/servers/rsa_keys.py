"""RSA keys for tests that only need one: each costs a quarter of a second, in every process."""

from functools import cache

from posthouse.mail.dkim_key import Algorithm
from posthouse.running.keys import generate


@cache
def rsa_key(_number: int = 1) -> bytes:
    """A key of 2048 bits as PKCS#8 in DER, the same for the same number."""
    return generate(Algorithm.RSA)
