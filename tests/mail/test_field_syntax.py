"""C10: which fields parse as RFC 5322, and what is said of those that do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.mail.field_syntax import problem
from posthouse.mail.message import Header


@pytest.mark.parametrize(
    "line",
    [
        "From: jo@a.example",
        "FROM : Jo <jo@a.example>, al@b.example",
        "Sender: jo@a.example (Jo)",
        "Reply-To: jo@a.example",
        "To: undisclosed-recipients:;",
        "Cc: A: jo@a.example, al@b.example;, x@y.example",
        "Bcc:",
        "Bcc: jo@a.example",
        "Resent-To: jo@a.example",
        "Date: Sun, 01 Mar 2026 12:30:00 +0000",
        "Message-ID: <a@b>",
        "Message-ID: <grün@b>",
        "Subject: anything, @ all <",
        "X-To: anything, @ all <",
        "To: Jörg <jörg@a.example>",
    ],
)
def test_C10_a_field_that_parses_has_no_problem(line: str) -> None:
    assert problem(Header.parse(f"{line}\r\n".encode()).fields[0]) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("From: jo", "the From field: 'jo' is not a mail address: it has no @"),
        ("from : ", "the from field: '' is not a mail address: it has no @"),
        ("From: G: jo@a.example;", "the From field: "),
        ("Sender: a@b.example, c@d.example", "the Sender field: 2 mailboxes, one is allowed"),
        ("Sender: a@", "the Sender field: "),
        ("Reply-To:", "the Reply-To field: it is empty"),
        ("To: ,", "the To field: it is empty"),
        ("To: a@b.example <", "the To field: 'a@b.example <' is not one mailbox or a list of them"),
        ("Cc: jo doe@a.example", "the Cc field: 'jo doe@a.example' is not a mail address"),
        ("Bcc: jo", "the Bcc field: "),
        ("Date: today", "the Date field: 'today' is not a date and time"),
        ("Date:", "the Date field: '' is not a date and time"),
        ("Message-ID: 1@2", "the Message-ID field: '1@2' is not an identifier, as in <"),
        ("Message-ID: " + "ü" * 900, "the Message-ID field: '\\xfc"),
        ("Resent-Date: x", "the Resent-Date field: "),
    ],
)  # fmt: skip
def test_C10_a_field_that_does_not_is_named(line: str, said: str) -> None:
    seen = problem(Header.parse(f"{line}\r\n".encode()).fields[0])
    assert seen is not None
    assert seen.startswith(said)
    assert seen.isascii()
    assert seen.isprintable()
    assert len(seen) < 600


@given(st.sampled_from(["From", "To", "Date", "Message-ID"]), st.text(max_size=40))
def test_C10_nothing_raises(name: str, value: str) -> None:
    octets = f"{name}: {value}\r\n".encode("utf-8", "surrogatepass")
    for field in Header.parse(octets).fields:
        assert (problem(field) or "x").isprintable()
