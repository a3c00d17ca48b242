"""What a submission asks for, and which domains its From may name."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.request import Recipient, author_field, domains_by_preference, read
from posthouse.mail.message import Header
from posthouse.mail.submission import RecipientKind
from posthouse.profiles import resolve
from servers.stores import a_submission

NATIVE = resolve("native")
BOTH = ("from.example", "envelope.example")


def candidates(author: str | None, sender: str) -> tuple[str, ...]:
    """The domains for a message with this From and envelope sender."""
    header = Header(()) if author is None else Header.parse(f"From: {author}\r\n\r\n".encode())
    return domains_by_preference(author_field(header), sender)


@pytest.mark.parametrize(
    ("value", "domain"),
    [
        ("a@b.example", "b.example"),
        ("A Name <a@B.Example>", "b.example"),
        ("<a@b.example>", "b.example"),
        ('"x@evil.example" <a@b.example>', "b.example"),
        ('"<x@evil.example>" <a@b.example>', "b.example"),
        ("(x@evil.example) a@b.example", "b.example"),
        ('"a b"@b.example', "b.example"),
        ('"a\\"<x@evil.example>" <a@b.example>', "b.example"),
        ("a@b.example, c@d.example", "b.example"),
        ("One <a@b.example>, Two <c@d.example>", "b.example"),
        ("=?utf-8?q?x=40evil=2Eexample?= <a@b.example>", "b.example"),
        ("a@größe.example", "xn--gre-6ka8i.example"),
        ("a@[192.0.2.1]", "[192.0.2.1]"),
        ("x@evil.example <a@b.example>", None),
        ("nobody", None),
        ("<>", None),
        ("", None),
    ],
)
def test_the_first_mailbox_in_from_names_the_domain(value: str, domain: str | None) -> None:
    """A From that can be read in two ways names none; ingest refuses it."""
    assert candidates(value, "") == ((domain,) if domain else ())


def test_from_comes_before_the_envelope_sender() -> None:
    assert candidates("a@From.Example", "b@Envelope.Example") == BOTH
    assert candidates("a@from.example", "b@from.example") == ("from.example",)
    assert candidates("a@from.example", "") == ("from.example",)
    assert candidates(None, "a@Größe.example") == ("xn--gre-6ka8i.example",)
    assert candidates(None, "") == ()


@given(st.text(max_size=60), st.text(max_size=40))
def test_no_from_and_no_sender_makes_it_fail(value: str, sender: str) -> None:
    assert len(candidates(value, sender)) <= 2


def test_hosts_of_domains_are_signed_for_by_those_domains() -> None:
    """Where they may send; the names are bounded, since each is looked up."""
    hosts = resolve("native", None, {"sender.hosts_of_domains": True})
    header = b"From: root@a.b.c.d.from.example\r\n\r\n"
    message = a_submission(sender="jo@x.envelope.example", header=header)
    assert read(message, NATIVE).from_domains == ("a.b.c.d.from.example", "x.envelope.example")
    assert read(message, hosts).from_domains == (
        *("a.b.c.d.from.example", "b.c.d.from.example", "c.d.from.example", "d.from.example"),
        *("x.envelope.example", "envelope.example"),
    )


def test_the_native_profile_reads_the_envelope() -> None:
    """Each recipient of the envelope gets a copy; it came in the second that its id names."""
    came = datetime(2026, 3, 1, 12, 28, 5, tzinfo=UTC)
    id_ = UUID(int=(int(came.timestamp() * 1000 + 999) << 80) | 7 << 76 | 2 << 62 | 1)
    submission = a_submission(
        id=id_,
        sender="b@envelope.example",
        header=b"To: x@y.example\r\nFrom: a@from.example\r\n\r\n",
    )

    request = read(submission, NATIVE)

    assert request.recipients == tuple(
        Recipient(r, RecipientKind.TO) for r in submission.recipients
    )
    assert request.received_at == came
    assert request.from_domains == BOTH
    assert read(replace(submission, header=b"\r\n"), NATIVE).from_domains == BOTH[1:]
