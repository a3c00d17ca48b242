"""Messages of every strange kind come out of policy as they came, but for the fields we own.

Each goes the way that a submission goes: split, read, decided, signed, and verified by another
implementation of DKIM.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email import message_from_bytes
from itertools import count
from uuid import UUID

import dkim
import pytest

from ingest.core.admission import Incoming, admit
from ingest.core.message_head import head_and_body
from ingest.core.refusals import Refusal
from mail.strange import Strange, messages
from policy.core.decision import Plan, decide, sign, unsigned
from policy.core.facts import DomainKeys, Facts, Relay
from policy.core.request import read
from policy.signing import OneByOne
from posthouse.mail.date_field import is_date
from posthouse.mail.dkim_key import Algorithm, SigningKey, record
from posthouse.mail.encoded_words import decoded
from posthouse.mail.header_text import encode_text
from posthouse.mail.message import Field, Header, has_bare_line_end, split
from posthouse.mail.message_id import is_message_id
from posthouse.mail.repeated_fields import without_copies
from posthouse.mail.submission import Rendition
from posthouse.profiles import Profile, resolve
from servers.admitting import facts_for
from servers.rsa_keys import rsa_key
from servers.stores import a_submission

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
KEY = SigningKey.load("sender.example", "s1", Algorithm.RSA, rsa_key())
SENDER = DomainKeys("sender.example", None, (KEY,))
RELAY = Relay("relay.example", DomainKeys("relay.example", None, ()), b"k" * 32, b"i" * 32)
FACTS = Facts(RELAY, {SENDER.domain: SENDER}, {})
NATIVE = resolve("native")
HIDDEN = (b"bcc", b"resent-bcc", b"return-path")
REPAIRED: Mapping[bytes, Callable[[str], bool]] = {b"date": is_date, b"message-id": is_message_id}
KINDS = [pytest.param(one, id=one.name) for one in messages()]


ALL_REPAIRS = resolve(
    "native",
    overrides={f"conformance.{knob}": "repair" for knob in ("subject", "long_lines")},
)


def prepared(content: bytes, profile: Profile = NATIVE) -> tuple[Rendition, bytes]:
    """The only rendition of *content*, and its body as it came."""
    header, body = split(content)
    submission = a_submission(
        sender="jo@sender.example", recipients=("ann@dest.example",), header=header, body=body
    )
    plan = decide(read(submission, profile), FACTS, NOW, ids())
    assert isinstance(plan, Plan)
    (rendition,) = sign(list(unsigned(plan, NOW)), OneByOne().sign)
    return rendition, body


def ids() -> Iterator[UUID]:
    return (UUID(int=number) for number in count(1))


def is_ours(field: Field) -> bool:
    return field.name in HIDDEN or field.name.startswith(b"x-posthouse-")


def published(_: bytes, **__: object) -> bytes:
    return record(KEY.private.public_key()).encode()


@pytest.mark.parametrize("strange", KINDS)
def test_nothing_but_our_own_fields_changes(strange: Strange) -> None:
    before = without_copies(Header.parse(split(strange.content)[0])).fields
    rendition, body = prepared(strange.content)
    signature, received, *after, identifier = Header.parse(rendition.header).fields

    assert rendition.body is None  # as it came
    assert split(rendition.header + body) == (rendition.header, body)
    assert (b"dkim-signature", b"received") == (signature.name, received.name)
    assert identifier.name == b"x-posthouse-id"
    assert not has_bare_line_end(rendition.header)
    for field in before:
        if is_ours(field):
            continue
        here = after.pop(0)
        if field.name in REPAIRED and not REPAIRED[field.name](field.value):
            assert here.name == field.name
            assert REPAIRED[here.name](here.value)
            if field.value:
                original = after.pop(0)
                assert original.name == b"x-original-" + field.name
                assert decoded(original.value) == field.value
        else:
            assert here in (field, encode_text(field))
            assert field.raw == here.raw or not field.raw.isascii()
    assert {field.name for field in after} <= REPAIRED.keys()


@pytest.mark.parametrize("profile", [NATIVE, ALL_REPAIRS], ids=["native", "all repairs"])
@pytest.mark.parametrize("strange", KINDS)
def test_another_implementation_verifies_it(strange: Strange, profile: Profile) -> None:
    """It reads no blanks before a colon, so they are taken out: relaxed signing ignores them."""
    rendition, came = prepared(strange.content, profile)
    body = came if rendition.body is None else rendition.body
    fields = Header.parse(rendition.header).fields
    tight = b"".join(raw.replace(raw[: raw.index(b":")], name, 1) for name, raw in fields)
    message = tight + b"\r\n" + body + (b"" if body.endswith(b"\r\n") or not body else b"\r\n")
    assert dkim.DKIM(message).verify(dnsfunc=published)
    assert rendition.body is None or leaves(message) == leaves(strange.content)


def leaves(message: bytes) -> list[bytes]:
    """What each part says when it is decoded, whatever its encoding."""
    parts = message_from_bytes(message).walk()
    decoded = [part.get_payload(decode=True) for part in parts if not part.is_multipart()]
    return [payload.rstrip(b"\r\n") for payload in decoded if isinstance(payload, bytes)]


def test_the_door_takes_all_of_them() -> None:
    facts = facts_for("native", domains={"sender.example"})
    for name, content in messages():
        found = head_and_body([content], 1 << 18)
        assert not isinstance(found, Refusal), name
        message = Incoming(found[0], "jo@sender.example", ("ann@dest.example",), facts)
        assert not isinstance(admit(message), Refusal), name
