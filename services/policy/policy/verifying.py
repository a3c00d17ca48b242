"""Verifies a sample of our own signatures with another implementation before they leave."""

import re
from collections.abc import Sequence

import dkim
import structlog
from prometheus_client import Counter

from posthouse.mail.dkim_key import SigningKey, record

VERIFIED = Counter(
    "posthouse_policy_verified_messages_total",
    "Signed messages that another implementation of DKIM was given to verify, by its result",
    ["result"],
)

# Verifying takes 1 ms for 10 KB and 5 ms for 64 KB, while which nothing else of the process runs.
_MOST_OCTETS = 65_536
_MOST_KEYS = 10_000

# A name with blanks before the colon is legal and obsolete (RFC 5322 section 4.5). The library does
# not find such a field when it is signed, and would take a good signature for a wrong one.
_OBSOLETE_NAME = re.compile(rb"^[!-9;-~]++[ \t]++:", re.MULTILINE)
# Other forms that it says it cannot read; no library for Ed25519.
_UNREADABLE = (dkim.MessageFormatError, dkim.NaClNotFoundError)

log = structlog.get_logger()


class SampleVerifier:
    """Verifies one message in *one_in*, and all of each key until one has verified.

    Messages over 64 KiB are left out.
    """

    def __init__(self, one_in: int) -> None:
        """*one_in*: verify one message of this many; 0 for none, not even the first of a key."""
        self._one_in = one_in
        self._signed = 0
        self._proven: set[SigningKey] = set()

    def problem(self, header: bytes, body: bytes, keys: Sequence[SigningKey]) -> str | None:
        """Why this message, on top of which *keys* have signed, must not leave; None if it may."""
        if not self._wants(len(header) + len(body), keys):
            return None
        if found := _OBSOLETE_NAME.search(header):
            _tell_unreadable(f"a blank stands before the colon in {found[0][:80]!r}")
            return None
        # So it will be on the wire.
        message = header + body if body.endswith(b"\r\n") or not body else header + body + b"\r\n"
        try:
            problem = _problem(message, keys)
        except _UNREADABLE as error:
            _tell_unreadable(str(error))
            return None
        VERIFIED.labels("failed" if problem else "verified").inc()
        if problem is None:
            self._proven.update(keys)
        return problem

    def _wants(self, octets: int, keys: Sequence[SigningKey]) -> bool:
        if not keys or not self._one_in or octets > _MOST_OCTETS:
            return False
        self._signed += 1
        if len(self._proven) > _MOST_KEYS:
            self._proven.clear()
        return self._signed % self._one_in == 0 or not self._proven.issuperset(keys)


def _tell_unreadable(reason: str) -> None:
    VERIFIED.labels("unreadable").inc()
    log.info("signature_not_verifiable", reason=reason)


def _problem(message: bytes, keys: Sequence[SigningKey]) -> str | None:
    """What does not verify: the signatures stand on top, in the order of *keys*."""
    for place, key in enumerate(keys):
        name = f"{key.selector}._domainkey.{key.domain}"
        text = record(key.private.public_key()).encode()
        try:
            good = dkim.DKIM(message).verify(place, dnsfunc=lambda *_, text=text, **__: text)
        except _UNREADABLE:
            raise
        except dkim.DKIMException as error:
            return f"the signature by {name} does not verify: {error}"
        if not good:
            return f"the signature by {name} does not verify"
    return None
