"""Each field of SendEmail does what the table in docs/amazon-ses-api.md says."""

import re
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec import inspect

from ingest.core.ses_bodies import SendEmailBody
from posthouse.mail.message_flag import MessageFlag, Stream
from posthouse.mail.submission import Submission
from servers.http_door import CALLER, HttpWireClient, RunningHttp
from servers.ses_client import BASE, SES_CALLER, b64, raw, send_email, simple

PAGE = Path(__file__).parents[2] / "docs/amazon-ses-api.md"
ROW = re.compile(r"^\| `([^`]+)` \| (honoured|no effect|refused) \|", re.MULTILINE)
STREAM = Stream("Mailing", "m1", {})


def table() -> dict[str, str]:
    """What each row of the page says."""
    text = PAGE.read_text()
    part = text[text.index("<!-- table: begin -->") : text.index("<!-- table: end -->")]
    return dict(ROW.findall(part))


FILE = {"RawContent": b64(b"octets"), "FileName": "a.bin"}


class Kept(NamedTuple):
    """What became of a request."""

    submission: Submission

    @property
    def message(self) -> EmailMessage:
        """As other programs read it."""
        found = message_from_bytes(
            self.submission.header + self.submission.body, policy=policy.default
        )
        assert isinstance(found, EmailMessage)
        return found

    @property
    def file(self) -> EmailMessage:
        """Its last part."""
        *_, found = self.message.walk()
        assert isinstance(found, EmailMessage)
        return found

    def text(self, kind: str) -> str:
        """Its text, as plain or as HTML."""
        found = self.message.get_body((kind,))
        return "" if found is None else str(found.get_content()).rstrip()


def attached(**more: Any) -> dict[str, Any]:
    return {"Content": simple(Attachments=[{**FILE, **more}])}


def overridden(name: str) -> dict[str, Any]:
    return {"ConfigurationOverrides": {"Tracking": {name: "DISABLED"}}}


# What is given beside BASE, what is looked at, and what it has to be.
HONOURED: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "FromEmailAddress": (
        {"FromEmailAddress": "Jö <re@b.example>"},
        lambda k: (k.submission.sender, str(k.message["From"])),
        ("re@b.example", "Jö <re@b.example>"),
    ),
    "Destination.ToAddresses[]": (
        {"Destination": {"ToAddresses": ["Ann <ann@there.example>", "bo@bücher.example"]}},
        lambda k: (k.submission.recipients, str(k.message["To"])),
        (
            ("ann@there.example", "bo@xn--bcher-kva.example"),
            "Ann <ann@there.example>, bo@xn--bcher-kva.example",
        ),
    ),
    "Destination.CcAddresses[]": (
        {"Destination": {"CcAddresses": ["cc@there.example"]}},
        lambda k: (k.submission.recipients, k.message["Cc"]),
        (("cc@there.example",), "cc@there.example"),
    ),
    "Destination.BccAddresses[]": (
        {"Destination": {"BccAddresses": ["bcc@there.example"]}},
        lambda k: (k.submission.recipients, k.message["Bcc"], b"bcc@" in k.submission.header),
        (("bcc@there.example",), None, False),
    ),
    "ReplyToAddresses[]": (
        {"ReplyToAddresses": ["a@a.example", "B <b@a.example>"]},
        lambda k: k.message["Reply-To"],
        "a@a.example, B <b@a.example>",
    ),
    "FeedbackForwardingEmailAddress": (
        {"FeedbackForwardingEmailAddress": "bounces@b.example"},
        lambda k: (k.submission.sender, k.message["From"]),
        ("bounces@b.example", "jo@a.example"),
    ),
    "Content.Simple.Subject.Data": (
        {"Content": simple(Subject={"Data": "Grüße =?utf-8?q?=C3=BC?="})},
        lambda k: k.message["Subject"],
        "Grüße ü",
    ),
    "Content.Simple.Body.Text.Data": (
        {"Content": simple(Body={"Text": {"Data": "Käse"}})},
        lambda k: (k.text("plain"), k.message.get_content_type()),
        ("Käse", "text/plain"),
    ),
    "Content.Simple.Body.Html.Data": (
        {"Content": simple(Body={"Html": {"Data": "<b>Käse</b>"}})},
        lambda k: (k.text("html"), k.message.get_content_type()),
        ("<b>Käse</b>", "text/html"),
    ),
    "Content.Simple.Headers[].Name": (
        {"Content": simple(Headers=[{"Name": "X-Order", "Value": "12"}])},
        lambda k: k.message["X-Order"],
        "12",
    ),
    "Content.Simple.Headers[].Value": (
        {"Content": simple(Headers=[{"Name": "X-Order", "Value": "ü"}])},
        lambda k: k.message["X-Order"],
        "ü",
    ),
    "Content.Simple.Attachments[].RawContent": (
        attached(RawContent=b64(bytes(range(256)))),
        lambda k: k.file.get_content(),
        bytes(range(256)),
    ),
    "Content.Simple.Attachments[].FileName": (
        attached(FileName="ü.pdf"),
        lambda k: (k.file.get_filename(), k.file.get_content_type()),
        ("ü.pdf", "application/pdf"),
    ),
    "Content.Simple.Attachments[].ContentType": (
        attached(ContentType="image/png"),
        lambda k: k.file.get_content_type(),
        "image/png",
    ),
    "Content.Simple.Attachments[].ContentDisposition": (
        attached(ContentDisposition="INLINE"),
        lambda k: k.file.get_content_disposition(),
        "inline",
    ),
    "Content.Simple.Attachments[].ContentId": (
        attached(ContentId="<logo>"),
        lambda k: (k.file["Content-ID"], k.file.get_content_disposition()),
        ("<logo>", "attachment"),
    ),
    "Content.Simple.Attachments[].ContentDescription": (
        attached(ContentDescription="the lögo"),
        lambda k: k.file["Content-Description"],
        "the lögo",
    ),
    "Content.Raw.Data": (
        {"Content": raw("From: jo@a.example\r\nX-Own: 1\r\n")},
        lambda k: (k.submission.header, k.submission.body),
        (b"From: jo@a.example\r\nX-Own: 1\r\n\r\n", b"hi\r\n"),
    ),
    "EmailTags[].Name": (
        {"EmailTags": [{"Name": "campaign", "Value": "spring"}]},
        lambda k: k.submission.attributes.metadata,
        {"campaign": "spring"},
    ),
    "EmailTags[].Value": (
        {"EmailTags": [{"Name": "a", "Value": "ü"}, {"Name": "b", "Value": ""}]},
        lambda k: k.submission.attributes.metadata,
        {"a": "ü", "b": ""},
    ),
    "ConfigurationSetName": (
        {"ConfigurationSetName": "M1"},
        lambda k: k.submission.attributes.stream,
        "Mailing",
    ),
    "ConfigurationOverrides.Tracking.OpenTrackingEnabled": (
        overridden("OpenTrackingEnabled"),
        lambda k: k.submission.attributes.flags,
        {MessageFlag.OPEN_TRACKING: False},
    ),
    "ConfigurationOverrides.Tracking.ClickTrackingEnabled": (
        overridden("ClickTrackingEnabled"),
        lambda k: k.submission.attributes.flags,
        {MessageFlag.CLICK_TRACKING: False},
    ),
}

# What is given beside BASE; nothing else comes of it.
NO_EFFECT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "FromEmailAddressIdentityArn": ({}, {"FromEmailAddressIdentityArn": "arn:aws:ses:x"}),
    "FeedbackForwardingEmailAddressIdentityArn": (
        {},
        {"FeedbackForwardingEmailAddressIdentityArn": "arn:aws:ses:x"},
    ),
    "Content.Simple.Subject.Charset": (
        {"Content": simple(Subject={"Data": "ü"})},
        {"Content": simple(Subject={"Data": "ü", "Charset": "ISO-8859-1"})},
    ),
    "Content.Simple.Body.Text.Charset": (
        {"Content": simple(Body={"Text": {"Data": "ü"}})},
        {"Content": simple(Body={"Text": {"Data": "ü", "Charset": "Shift_JIS"}})},
    ),
    "Content.Simple.Body.Html.Charset": (
        {"Content": simple(Body={"Html": {"Data": "ü"}})},
        {"Content": simple(Body={"Html": {"Data": "ü", "Charset": "US-ASCII"}})},
    ),
    "Content.Simple.Attachments[].ContentTransferEncoding": (
        attached(),
        attached(ContentTransferEncoding="QUOTED_PRINTABLE"),
    ),
}

REFUSED: dict[str, dict[str, Any]] = {
    "Content.Template": {"Content": {"Template": {"TemplateName": "t", "TemplateData": "{}"}}},
    "EndpointId": {"EndpointId": "abc.def"},
    "TenantName": {"TenantName": "t"},
    "ListManagementOptions": {"ListManagementOptions": {"ContactListName": "l"}},
}


@pytest.fixture
def caller(http_door: RunningHttp) -> None:
    """Whoever calls has a sealed secret, and a stream."""
    streams = {"m1": STREAM, "Mailing": STREAM}
    http_door.directory.logins["user"] = replace(SES_CALLER, streams=streams)


async def kept(http: HttpWireClient, door: RunningHttp, given: dict[str, Any]) -> Kept:
    answer = await send_email(http, {**BASE, **given})
    assert answer.status == 200, answer.body
    submission = door.intake.accepted[-1]
    assert answer.value == {"MessageId": submission.id.hex}
    return Kept(submission)


def fields_of(kind: inspect.Type, path: str = "") -> Iterator[str]:
    """The fields of a type, with those within them."""
    match kind:
        case inspect.UnionType(types):
            (only,) = [one for one in types if not isinstance(one, inspect.NoneType)]
            yield from fields_of(only, path)
        case inspect.Metadata(inner):
            yield from fields_of(inner, path)
        case inspect.ListType(item):
            yield from fields_of(item, f"{path}[]")
        case inspect.StructType(fields=fields):
            for one in fields:
                yield from fields_of(one.type, f"{path}.{one.encode_name}".removeprefix("."))
        case _:
            yield path


def test_the_table_has_each_field_and_each_row_its_test() -> None:
    assert set(table()) == set(fields_of(inspect.type_info(SendEmailBody)))
    for word, tested in (("honoured", HONOURED), ("no effect", NO_EFFECT), ("refused", REFUSED)):
        assert set(tested) == {name for name, said in table().items() if said == word}


@pytest.mark.usefixtures("caller")
@pytest.mark.parametrize("field", HONOURED)
async def test_a_field_is_honoured(
    http: HttpWireClient, http_door: RunningHttp, field: str
) -> None:
    given, look, expected = HONOURED[field]

    assert look(await kept(http, http_door, {})) != expected
    assert look(await kept(http, http_door, given)) == expected


@pytest.mark.usefixtures("caller")
@pytest.mark.parametrize("field", NO_EFFECT)
async def test_a_field_has_no_effect(
    http: HttpWireClient, http_door: RunningHttp, field: str
) -> None:
    """But for ids and times, which differ each time."""
    without, given = [await kept(http, http_door, one) for one in NO_EFFECT[field]]

    def same(one: Kept) -> Any:
        made = re.compile(rb"(?:Date|Message-ID): [^\r]+|=_(?:mixed|related)_[0-9a-f]+")
        octets = made.sub(b"", one.submission.header + one.submission.body)
        message = one.submission
        return octets, message.sender, message.recipients, message.attributes, message.terms

    assert same(without) == same(given)


@pytest.mark.usefixtures("caller")
@pytest.mark.parametrize("field", REFUSED)
async def test_a_field_is_refused_by_name(
    http: HttpWireClient, http_door: RunningHttp, field: str
) -> None:
    answer = await send_email(http, {**BASE, **REFUSED[field]})

    assert (answer.status, answer.fields["x-amzn-errortype"]) == (400, "BadRequestException")
    assert answer.value["message"].startswith(f"/{field.replace('.', '/')}: there are no ")
    assert not http_door.intake.accepted


@pytest.mark.usefixtures("caller")
async def test_null_is_as_good_as_nothing(http: HttpWireClient, http_door: RunningHttp) -> None:
    nothing = dict.fromkeys((*REFUSED, "ReplyToAddresses", "EmailTags", "ConfigurationSetName"))
    del nothing["Content.Template"]

    await kept(http, http_door, nothing)


def test_a_caller_of_http_alone_has_no_sealed_secret() -> None:
    """So that these tests would notice if the secret were not what is asked for."""
    assert CALLER.sealed is None
    assert SES_CALLER.sealed is not None
