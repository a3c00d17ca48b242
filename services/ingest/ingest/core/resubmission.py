"""A message that its client submits again, because it lost our 250, is known by its octets."""

from dataclasses import replace
from datetime import timedelta
from hashlib import blake2b

from ingest.core.admission import Admission, Incoming
from posthouse.mail.message_id import is_message_id
from posthouse.mail.terms import IdempotencyKey, Resubmission

# No key of a client begins so: theirs are ASCII.
_MADE = "\N{SECTION SIGN}"


def known_again(message: Incoming, body: bytes, decided: Admission, window: timedelta) -> Admission:
    """*decided* on terms by which the same message is known when it is submitted again.

    It counts for *window*. A key that the client gave says more; a message without Message-ID may
    be meant twice.
    """
    is_off = message.session.resubmission is Resubmission.OFF
    if is_off or decided.terms.key is not None or not has_identity(message):
        return decided
    key = resubmission_key(message, body, window)
    return decided._replace(terms=replace(decided.terms, key=key))


def has_identity(message: Incoming) -> bool:
    """Whether *message* has one Message-ID, so that two that were meant as two differ."""
    fields = message.head.fields(b"message-id")
    return len(fields) == 1 and is_message_id(fields[0].value, utf8=True)


def resubmission_key(message: Incoming, body: bytes, window: timedelta) -> IdempotencyKey:
    """A key for which the same octets from the same credential to the same recipients are the same.

    It counts for *window*. Each octet is read: a second for a gigabyte. The order of recipients
    says nothing.
    """
    session = message.session
    made = blake2b(digest_size=32)
    envelope = (session.credential_id.hex, message.sender, *sorted(message.recipients))
    made.update("\0".join(envelope).encode(errors="surrogateescape"))
    made.update(b"\0\0")
    made.update(message.head.octets)
    made.update(body)
    mode = session.resubmission
    assert mode is not Resubmission.OFF
    return IdempotencyKey(f"{_MADE}{made.hexdigest()}", b"", window, mode)
