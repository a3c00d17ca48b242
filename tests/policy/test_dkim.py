"""Signatures against an independent verifier, over generated messages."""

from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from itertools import permutations

import dkim
import pytest
from dkim.canonicalization import Relaxed
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policy.core.dkim import (
    OVERSIGNED,
    SIGNED,
    body_hash,
    body_hash_in_pieces,
    relaxed_body,
    relaxed_fields,
    signed,
    unsigned,
)
from posthouse.mail.dkim_key import Algorithm, SigningKey, record
from posthouse.mail.message import Field, Header, split
from posthouse.running.keys import generate
from servers.rsa_keys import rsa_key

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RSA = SigningKey.load("sender.example", "r1", Algorithm.RSA, rsa_key())
ED25519 = SigningKey.load("sender.example", "e1", Algorithm.ED25519, generate(Algorithm.ED25519))
KEYS = {key.selector: key for key in (RSA, ED25519)}
PLAIN = b"From: a@sender.example\r\nTo: b@there.example\r\nSubject: Hi\r\n\r\nHello\r\n"

blanks = st.sampled_from([b"", b" ", b"  ", b"\t", b" \t ", b"   \t\t   "])
words = st.sampled_from([b"", b"a", b"word", b"=20", "größe".encode(), b"\xff\xfe", b".", b":;"])
texts = st.lists(st.tuples(words, blanks), max_size=6).map(
    lambda pairs: b"".join(word + blank for word, blank in pairs)
)
bodies = st.lists(texts, max_size=8).map(b"\r\n".join)
folds = st.sampled_from([b"\r\n ", b"\r\n\t", b"\r\n \t ", b" \r\n  "])
values = st.lists(st.tuples(texts, folds), max_size=3).map(
    lambda pairs: b"".join(text + fold for text, fold in pairs) + b"end"
)
names = st.sampled_from(
    [b"To", b"to", b"CC", b"Subject", b"sUBJECT", b"Received", b"X-Own", b"References", b"List-ID"]
)
headers = st.tuples(
    st.lists(st.tuples(names, blanks, values), max_size=8),
    st.lists(st.tuples(st.just(b"From"), blanks, values), min_size=1, max_size=2),
).map(lambda two: b"".join(n + b":" + b + v + b"\r\n" for n, b, v in (*two[0], *two[1])))


def published(name: bytes, timeout: int = 5) -> bytes:
    """The DNS of these tests: both selectors of sender.example."""
    del timeout
    return record(KEYS[name.split(b".")[0].decode()].private.public_key()).encode()


def accepted(message: bytes) -> list[bool]:
    """What the verifier says of each signature, from the top."""

    def verdict(index: int) -> bool:
        try:
            return bool(dkim.DKIM(message).verify(index, dnsfunc=published))
        except dkim.ValidationError:
            return False

    return [
        verdict(i) for i in range(len(Header.parse(split(message)[0]).values("DKIM-Signature")))
    ]


def sent(message: bytes, *keys: SigningKey) -> bytes:
    header, body = split(message)
    return bytes(with_signatures(Header.parse(header), body, keys)) + body


def with_signatures(header: Header, body: bytes, keys: Sequence[SigningKey]) -> Header:
    return signed(
        header, [(u, u.key.sign(u.data)) for u in unsigned(header, body_hash(body), keys, NOW)]
    )


@given(headers, bodies)
@example(b"From: a@b.example\r\n", b"")
@example(b"From: a@b.example\r\n", b"\r\n")
@example(b"From: a@b.example\r\n", b" \t \r\n\r\n \r\n\r\n")
@example(b"From: a@b.example\r\n", b"not ended")
@example(b"From: a@b.example\r\n", b"not ended \t ")
def test_both_signatures_verify_whatever_the_message(header: bytes, body: bytes) -> None:
    """The last line is ended, as it is by the time a receiver sees it."""
    ended = body if not body or body.endswith(b"\r\n") else body + b"\r\n"
    head = bytes(with_signatures(Header.parse(header + b"\r\n"), body, (RSA, ED25519)))

    assert accepted(head + ended) == [True, True]


@settings(max_examples=300)
@given(bodies)
@example(b"one\r\ntwo\r\n")
@example(b"blank \r\n")
@example(b"two  blanks\r\n")
@example(b"tab\there\r\n")
@example(b"blank at the end ")
@example(b"empty lines\r\n\r\n\r\n")
def test_the_canonical_body_is_that_of_another_implementation(body: bytes) -> None:
    assert Relaxed.canonicalize_body(body + b"\r\n") == relaxed_body(body)


@settings(max_examples=300)
@given(bodies, st.integers(0, 40))
@example(b"", 0)
@example(b" \r\n\r\n", 0)
@example(b"empty lines\r\n\r\n\r\n", 1)
@example(b"a\r\n\r\n\r\n\r\nb\r\n\r\n", 1)
@example(b"not ended", 2)
def test_a_body_in_pieces_has_the_hash_of_the_whole(body: bytes, octets: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("policy.core.dkim.PIECE_OCTETS", octets)
        assert body_hash(body) == whole(body_hash_in_pieces(body))


def whole(pieces: Generator[None, None, bytes]) -> bytes:
    """What it returns at the end."""
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            return bytes(end.value)


@settings(max_examples=300)
@given(st.lists(st.tuples(names, blanks, blanks, values | folds | blanks), max_size=4))
def test_canonical_fields_are_those_of_another_implementation(
    given: list[tuple[bytes, bytes, bytes, bytes]],
) -> None:
    """The names' case, blanks around the colon, folds anywhere, values of nothing."""
    theirs = Relaxed.canonicalize_headers([(n + a, b + v + b"\r\n") for n, a, b, v in given])
    ours = [Field(n.lower(), n + a + b":" + b + v + b"\r\n") for n, a, b, v in given]

    assert b"".join(name + b":" + line for name, line in theirs) == relaxed_fields(ours)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.replace(b"Hello", b"Hullo"),
        lambda m: m.replace(b"Subject: Hi", b"Subject: Ho"),
        *(lambda m, name=n: name + b": another\r\n" + m for n in OVERSIGNED),
        lambda m: m.replace(b"\r\n\r\n", b"\r\nFrom: other@evil.example\r\n\r\n", 1),
    ],
    ids=[
        "body",
        "subject",
        *(f"another {name.decode()} on top" for name in OVERSIGNED),
        "second From below",
    ],
)
def test_a_changed_message_no_longer_verifies(change: object) -> None:
    """Each signature covers the body, the fields, and the absence of further ones (review, M12)."""
    assert callable(change)

    assert accepted(change(sent(PLAIN, RSA, ED25519))) == [False, False]


@pytest.mark.parametrize(
    "change",
    [
        lambda m: b"Received: from x by y; now\r\n" + m,
        lambda m: m.replace(b"Subject: Hi", b"subject:\r\n  Hi \t"),
        lambda m: m + b"\r\n\r\n",
        lambda m: m.replace(b"Hello", b"Hello  \t"),
    ],
    ids=["trace field", "refolded field", "empty lines at the end", "blanks at a line's end"],
)
def test_what_relays_do_on_the_way_is_forgiven(change: object) -> None:
    assert callable(change)

    assert accepted(change(sent(PLAIN, RSA, ED25519))) == [True, True]


def test_the_field_says_what_was_signed_when_and_for_whom() -> None:
    top, second = Header.parse(split(sent(PLAIN, RSA, ED25519))[0]).values("DKIM-Signature")

    assert "v=1; a=rsa-sha256; c=relaxed/relaxed;" in top
    assert f"d=sender.example; s=r1; t={int(NOW.timestamp())};" in top
    assert (
        "h=subject:to:from:from:to:cc:subject:date:message-id:reply-to:"
        "mime-version:content-type:content-transfer-encoding:x-posthouse-id;"
    ) in top.replace("\t", "")
    assert "a=ed25519-sha256;" in second


def test_no_line_of_a_signature_is_long() -> None:
    for order in permutations(sorted(SIGNED, key=len)[-5:]):
        names = *order, *sorted(SIGNED)
        header = b"".join(name + b": x@y.example\r\n" for name in names) + b"\r\n"
        field = with_signatures(Header.parse(header), b"", (ED25519,)).fields[0]
        assert max(map(len, field.raw.split(b"\r\n"))) <= 78, field.raw

    assert accepted(sent(header + b"x\r\n", RSA)) == [True]


def test_without_keys_the_header_stays_as_it_is() -> None:
    header = Header.parse(split(PLAIN)[0])

    assert header == with_signatures(header, b"Hello\r\n", ())


def test_an_empty_body_has_the_hash_of_nothing() -> None:
    """RFC 6376 section 3.4.4, the note on the empty body."""
    empty = sha256(b"").digest()

    assert [empty] * 3 == [sha256(relaxed_body(b)).digest() for b in (b"", b"\r\n", b" \r\n\r\n")]
