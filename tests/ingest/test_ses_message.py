"""What a SendEmail of Amazon SES asks for, without a wire."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.mime_maker import Making, made
from ingest.core.new_message import WrongValue
from ingest.core.request_json import as_kind
from ingest.core.ses_bodies import SendEmailBody
from ingest.core.ses_message import raw_message, simple_message
from posthouse.mail.message import Header
from servers.ses_client import BASE, b64, simple

MAKING = Making("<1@a.example>", datetime(2026, 7, 1, 9, tzinfo=UTC), "token")
OURS = {b"from", b"to", b"cc", b"reply-to", b"subject", b"x-own", b"date", b"message-id"}
TEXT = st.text(max_size=40) | st.sampled_from(
    [
        "\r\nBcc: x@y.example",
        "a\nX: y",
        "\u2028X: y",
        "=?utf-8?q?=0D=0AX:_y?=",
        '"',
        "<x@y.example>",
        ",",
    ]
)


def described(**given: Any) -> SendEmailBody:
    body: SendEmailBody = as_kind({**BASE, **given}, SendEmailBody)
    return body


def names(header: bytes) -> list[bytes]:
    return [field.name for field in Header.read(header)[0].fields]


@given(*[TEXT] * 5)
def test_nothing_that_is_described_adds_a_field(
    name: str, subject: str, value: str, file: str, description: str
) -> None:
    attached = {"FileName": file, "RawContent": b64(b"a"), "ContentDescription": description}
    body = described(
        FromEmailAddress=f"{name} <jo@a.example>",
        Destination={"ToAddresses": [f"{name} <x@there.example>"]},
        ReplyToAddresses=[f"{name} <re@a.example>"],
        Content=simple(
            Subject={"Data": subject},
            Headers=[{"Name": "X-Own", "Value": value}],
            Attachments=[attached],
        ),
    )
    assert body.content.simple is not None
    try:
        content = made(simple_message(body, body.content.simple), MAKING)
    except WrongValue:
        return

    found = names(content)
    assert len(found) == len(set(found))
    assert set(found) <= OURS | {b"mime-version", b"content-type"}
    part = content.split(b"--=_mixed_token\r\n")[2]
    assert set(names(part)) == {
        *(b"content-type", b"content-transfer-encoding", b"content-disposition"),
        *([b"content-description"] if description else []),
    }


@given(TEXT, TEXT)
def test_nothing_that_a_raw_message_gets_adds_another_field(name: str, reply_to: str) -> None:
    body = described(
        FromEmailAddress=f"{name} <jo@a.example>", ReplyToAddresses=[f"{reply_to} <re@a.example>"]
    )
    try:
        missing = raw_message(body, [b"To: x@there.example\r\n\r\n"], 1_000).missing
    except WrongValue:
        return

    assert names(missing) == [b"from", b"reply-to"]
    assert missing.isascii()


@pytest.mark.parametrize("content", [b"", b"\r\nhi\r\n", b"From x\r\nSubject: a\r\n\r\nhi"])
def test_a_message_without_a_header_gets_none(content: bytes) -> None:
    assert raw_message(described(), [content], 1_000).missing == b""
