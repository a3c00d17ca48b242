"""A message as JSON: the fields that an application gives, and the message that they describe."""

from datetime import datetime
from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct, field

from ingest.core.json_field import shown
from ingest.core.message_options import NamedAddress
from ingest.core.message_values import (
    content_id,
    from_base64,
    header_fields,
    line,
    mailbox,
    media_type,
    metadata,
    named_address,
)
from ingest.core.new_message import Attachment, NewMessage, WrongValue
from ingest.core.options import Options
from ingest.core.own_headers import Unreadable, moment
from posthouse.mail.lane import Lane
from posthouse.mail.message_flag import MessageFlag

_MOST_IN_LIST = 1_000  # before it is known how many are allowed


class MailboxBody(Struct, forbid_unknown_fields=True, frozen=True):
    """An address and the name that readers see beside it."""

    email: Annotated[str, Meta(description="Such as `jo@a.example`.")]
    name: Annotated[str, Meta(max_length=255)] = ""


MailboxGiven: TypeAlias = Annotated[str, Meta(max_length=1_000)] | MailboxBody
Mailboxes: TypeAlias = MailboxGiven | Annotated[list[MailboxGiven], Meta(max_length=_MOST_IN_LIST)]


class AttachmentBody(Struct, forbid_unknown_fields=True, frozen=True):
    """A file that goes with the message."""

    content: Annotated[str, Meta(description="In base64 (RFC 4648 section 4).")]
    filename: Annotated[str, Meta(max_length=255)] = ""
    content_type: Annotated[
        str, Meta(max_length=255, description="By default what the end of the filename means.")
    ] = ""
    content_id: Annotated[
        str,
        Meta(
            max_length=200,
            description='Of a file that the HTML shows, as in `<img src="cid:logo">`.',
        ),
    ] = ""


class TrackingBody(Struct, forbid_unknown_fields=True, frozen=True):
    """What is tracked; wins over the account's settings where its profile allows that."""

    opens: bool | None = None
    clicks: bool | None = None


class MessageBody(Struct, forbid_unknown_fields=True, frozen=True, rename={"author": "from"}):
    """A message. `text`, `html` or an attachment is required, and a recipient."""

    author: Annotated[
        MailboxGiven,
        Meta(description="An address, `Name <address>`, or an object. Also the envelope sender."),
    ]
    to: Mailboxes = field(default_factory=list)
    cc: Mailboxes = field(default_factory=list)
    bcc: Annotated[Mailboxes, Meta(description="Named in no copy.")] = field(default_factory=list)
    reply_to: Mailboxes = field(default_factory=list)
    subject: str = ""
    text: str | None = None
    html: str | None = None
    attachments: list[AttachmentBody] = field(default_factory=list)
    headers: Annotated[
        dict[str, str],
        Meta(description="Other fields of the header, such as `List-Unsubscribe`."),
    ] = field(default_factory=dict)
    tags: Annotated[
        list[str],
        Meta(max_length=_MOST_IN_LIST, description="At most as the profile allows."),
    ] = field(default_factory=list)
    metadata: Annotated[
        dict[str, Any],
        Meta(description="Of your own, at most 1000 octets as JSON; comes back with events."),
    ] = field(default_factory=dict)
    priority: Annotated[
        Annotated[int, Meta(ge=1, le=5)] | None,
        Meta(
            description="1 goes before everything else. The higher of this and the credential's"
            " default counts, within its limit.",
        ),
    ] = None
    tracking: TrackingBody | None = None
    stream: Annotated[str, Meta(description="The code or the name of a stream.")] = ""
    send_at: Annotated[
        str | None,
        Meta(
            description="Not before this time: ISO 8601 with a zone, `2026-07-01T09:00:00Z`.",
            extra_json_schema={"format": "date-time"},
        ),
    ] = None


def new_message(body: MessageBody) -> NewMessage:
    """The message that *body* describes; raises WrongValue."""
    message = NewMessage(
        author=_mailbox(body.author, "/from"),
        to=_mailboxes(body.to, "/to"),
        cc=_mailboxes(body.cc, "/cc"),
        bcc=_mailboxes(body.bcc, "/bcc"),
        reply_to=_mailboxes(body.reply_to, "/reply_to"),
        subject=body.subject,
        text=body.text,
        html=body.html,
        attachments=tuple(
            _attachment(one, f"/attachments/{at}") for at, one in enumerate(body.attachments)
        ),
        headers=header_fields(body.headers, "/headers"),
    )
    if not message.recipients:
        raise WrongValue("/to", "there is no recipient: one in to, cc or bcc is required")
    if body.text is None and body.html is None and not body.attachments:
        raise WrongValue("", "there is no content: text, html or an attachment is required")
    return message


def options_of(body: MessageBody) -> Options:
    """What *body* asks for beside its message; raises WrongValue."""
    return Options(
        tags=tuple(dict.fromkeys(body.tags)),
        metadata=metadata(body.metadata, "/metadata"),
        flags=_flags(body.tracking),
        stream=line(body.stream, "/stream"),
        lane=Lane(body.priority) if body.priority else None,
        send_at=_time(body.send_at) if body.send_at is not None else None,
    )


def _mailboxes(given: Mailboxes, pointer: str) -> tuple[NamedAddress, ...]:
    if isinstance(given, list):
        return tuple(_mailbox(one, f"{pointer}/{at}") for at, one in enumerate(given))
    return (_mailbox(given, pointer),)


def _mailbox(given: MailboxGiven, pointer: str) -> NamedAddress:
    if isinstance(given, MailboxBody):
        return named_address(given.email, given.name, pointer)
    return mailbox(given, pointer)


def _attachment(given: AttachmentBody, pointer: str) -> Attachment:
    filename = line(given.filename, f"{pointer}/filename")
    return Attachment(
        filename,
        media_type(given.content_type, filename, f"{pointer}/content_type"),
        from_base64(given.content, f"{pointer}/content"),
        content_id(given.content_id, f"{pointer}/content_id"),
        is_inline=bool(given.content_id),
    )


def _flags(tracking: TrackingBody | None) -> dict[str, bool]:
    if tracking is None:
        return {}
    given = {
        MessageFlag.OPEN_TRACKING.value: tracking.opens,
        MessageFlag.CLICK_TRACKING.value: tracking.clicks,
    }
    return {flag: on for flag, on in given.items() if on is not None}


def _time(text: str) -> datetime:
    try:
        return moment(text)
    except Unreadable as error:
        raise WrongValue("/send_at", f"{shown(text)} seen, {error}") from error
