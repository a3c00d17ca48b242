"""Which headers are refused because they cannot be read, or can be read in two ways."""

import pytest

from ingest.core.admission import Admission, Incoming, admit
from ingest.core.message_head import head_and_body
from ingest.core.refusals import Refusal
from servers.admitting import admitted, facts_for, incoming, refused

FROM = b"From: jo@a.example\r\n"
GOOD = FROM + b"To: al@b.example\r\nSubject: Hello\r\n"
DIFFER = "header, and they differ"


def reply(content: bytes, preset: str = "native", **knobs: object) -> str:
    """What the client hears of a message of *preset* with these knobs; "" if it is admitted."""
    facts = facts_for(preset, **{f"conformance__{name}": value for name, value in knobs.items()})
    found = head_and_body([content], 65_536)
    assert not isinstance(found, Refusal)
    result = admit(Incoming(found[0], "jo@a.example", ("al@b.example",), facts))
    assert isinstance(result, Refusal | Admission)
    return str(result.reply) if isinstance(result, Refusal) else ""


@pytest.mark.parametrize(
    ("fields", "native", "strict"),
    [
        (b"X: 1\r\nX: 2\r\nReceived: a\r\nReceived: b\r\n", "", ""),
        (b"subject:\r\n Hello \r\n", "", "more than one Subject header"),
        (b"subject: hello\r\n", f"more than one Subject {DIFFER}", "more than one Subject header"),
        (b"TO: c@d.example\r\n", f"more than one To {DIFFER}", "more than one To header"),
        (b"From: jo@a.example\r\n", "", "more than one From header"),
        (b"From: Jo <jo@a.example>\r\n", "more than one From header", "more than one From header"),
        (b"Message-ID: <1@a>\r\nMessage-ID: <2@a>\r\n", f"one Message-ID {DIFFER}", "one Message"),
        (b"Content-Type: a/b\r\ncontent-type: c/d\r\n", f"one Content-Type {DIFFER}", "Content-T"),
        (b"Bcc: a@b.example\r\nBcc: c@d.example\r\n", "", "more than one Bcc header"),
    ],
)
def test_X11_a_field_that_is_allowed_once_is_refused_by_name(
    fields: bytes, native: str, strict: str
) -> None:
    """`native` refuses contradictions; copies are removed later."""
    for said, knob in ((native, "repair"), (strict, "require")):
        heard = reply(GOOD + fields + b"\r\nbody", repeated_fields=knob)
        assert said in heard
        assert bool(said) is heard.startswith("550 5.6.0 The message has more than one ")
    ignored = reply(GOOD + fields + b"\r\nbody", repeated_fields="ignore")
    assert bool(ignored) is (b"From" in fields)  # its domain is checked: there is one


def test_X05_each_author_is_checked_also_in_copies() -> None:
    foreign = FROM.replace(b"a.example", b"x.example")
    assert reply(foreign * 2 + b"\r\n").startswith("550 5.7.1 From domain")
    assert reply(FROM + foreign + b"\r\n").startswith("550 5.6.0 The message has more than one")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (GOOD + b"\r\nbody", ""),
        (GOOD, ""),
        (GOOD + b"Cc: A Group:;\r\nReply-To: (c) jo . doe @a.example\r\n\r\n", ""),
        (GOOD + b"This is the body.\r\n", "'This is the body.' is neither a header field nor"),
        (GOOD + b"\xff" * 200 + b"\r\n\r\n", "' is neither a header field nor the empty line"),
        (GOOD + b"X Y: 1\r\n\r\n", "'X Y: 1' is neither a header field nor"),
        (GOOD.replace(b"al@b.example", b"al b.example"), "the To field: 'al b.example' is not a m"),
        (GOOD + b"Cc: <x@y\r\n\r\n", "the Cc field: '<x@y' is not one mailbox or a list"),
        (GOOD + b"Reply-To: nobody\r\n\r\n", "the Reply-To field: 'nobody' is not a mail address"),
        (GOOD + b"Sender: a@b.example, c@d.example\r\n\r\n", "the Sender field: 2 mailboxes"),
    ],
)  # fmt: skip
def test_C10_a_message_that_does_not_parse_is_refused(content: bytes, said: str) -> None:
    heard = reply(content, strict_syntax=True)
    assert said in heard
    assert bool(said) is heard.startswith("550 5.6.0 ")
    assert said in reply(content, "critsend")
    assert reply(content) == ""


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (b"Date: Sun, 1 Mar 2026 12:30:00 +0000\r\n", ""),
        (b"", "550 5.6.0 The message has no Date header"),
        (b"Date: now\r\n", "550 5.6.0 Not as RFC 5322 says: the Date field: 'now' is not a date"),
    ],
)
def test_X11_a_profile_may_require_a_date(fields: bytes, said: str) -> None:
    heard = reply(GOOD + fields + b"\r\n", date="require")
    assert heard.startswith(said)
    assert bool(said) is bool(heard)
    assert reply(GOOD + fields + b"\r\n") == ""


@pytest.mark.parametrize(
    ("subject", "right"),
    [
        (b"plain", True),
        (b"=?utf-8?q?=C3=BC?=", True),
        (b"\xc3\xbc", False),
        (b"=?utf-8?q?=FC?=", False),
        (b"=?none?q?a?=", False),
    ],
)
def test_C11_a_profile_may_refuse_a_wrong_subject(subject: bytes, *, right: bool) -> None:
    content = FROM + b"To: al@b.example\r\nSubject: " + subject + b"\r\n\r\n"
    heard = reply(content, subject="require")
    assert right is (heard == "")
    assert right or heard == "550 5.6.0 The Subject header is not encoded as RFC 2047 says"
    assert reply(content, "critsend") == ""  # it is encoded again


def test_X11_a_profile_may_refuse_octets_above_127_in_the_header() -> None:
    """Unless the client asked for SMTPUTF8."""
    facts = facts_for("native", conformance__eight_bit="require")
    message = incoming("From: jo@a.example\nX-Odd: 1\nSubject: Grüße", facts)
    assert refused(message) == (
        "550 5.6.0 The Subject header is not ASCII: encode it, or ask for SMTPUTF8"
    )
    assert admitted(message._replace(smtputf8=True))
    assert admitted(message._replace(session=facts_for("native")))
