"""What a SendEmail of Amazon SES asks for: a message, its envelope and its options.

Each function raises WrongValue, with where it stands as Amazon calls it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from ingest.core.message_options import NamedAddress
from ingest.core.message_values import (
    content_id,
    from_base64,
    header_fields,
    line,
    mailbox,
    media_type,
    metadata,
)
from ingest.core.new_message import Attachment, NewMessage, WrongValue
from ingest.core.options import Options
from ingest.core.raw_envelope import author_of, header_of, named_in
from ingest.core.ses_bodies import SendEmailBody, SesAttachment, SesHeader, SesSimple
from posthouse.mail.mailbox_text import mailbox_text, phrase_of
from posthouse.mail.message import Header, HeaderInjection, HeaderTooLong, field
from posthouse.mail.message_flag import MessageFlag

# Fields of a raw message by which it says what else is said in JSON; policy removes them.
_STREAM, _TAGS = "X-SES-CONFIGURATION-SET", "X-SES-MESSAGE-TAGS"
_REFUSED_FIELDS = ("X-SES-LIST-MANAGEMENT-OPTIONS", "X-SES-TENANT")
_OWN_PREFIX = "x-ses-"

_NO_LISTS = "there are no contact lists here: leave it out, and put List-Unsubscribe in the header"
_NO_TENANTS = "there are no tenants here: give each an account and a user of its own"
_NO_TEMPLATES = "there are no templates here: fill it in yourself, and give Simple or Raw"
_NO_ENDPOINTS = "there are no endpoints of several regions here: leave it out"

# Where values stand that are judged when the octets are made.
_PLACES = {
    "to": "/Destination",
    "subject": "/Content/Simple/Subject/Data",
    "headers": "/Content/Simple/Headers",
    "attachments": "/Content/Simple/Attachments",
}


def check_refused(body: SendEmailBody) -> None:
    """Refuse what would be sent otherwise than it is meant."""
    refused = (
        ("/Content/Template", body.content.template, _NO_TEMPLATES),
        ("/EndpointId", body.endpoint_id, _NO_ENDPOINTS),
        ("/TenantName", body.tenant_name, _NO_TENANTS),
        ("/ListManagementOptions", body.list_management_options, _NO_LISTS),
    )
    for pointer, value, why in refused:
        if value is not None:
            raise WrongValue(pointer, why)
    given = [one for one in (body.content.simple, body.content.raw) if one is not None]
    if len(given) != 1:
        raise WrongValue("/Content", f"{len(given)} of Simple and Raw seen, one is required")


def options_of(body: SendEmailBody) -> Options:
    """What is asked for beside the message; metadata are its tags."""
    tags = [(tag.name, tag.value) for tag in body.email_tags or ()]
    tracking = body.configuration_overrides and body.configuration_overrides.tracking
    flags = {}
    if tracking:
        given = {
            MessageFlag.OPEN_TRACKING.value: tracking.open_tracking_enabled,
            MessageFlag.CLICK_TRACKING.value: tracking.click_tracking_enabled,
        }
        flags = {flag: on == "ENABLED" for flag, on in given.items() if on is not None}
    return Options(
        metadata=_metadata(tags, "/EmailTags"),
        flags=flags,
        stream=line(body.configuration_set_name or "", "/ConfigurationSetName"),
    )


def _metadata(tags: Sequence[tuple[str, str]], pointer: str) -> Mapping[str, str]:
    found = dict(tags)
    if len(found) < len(tags):
        raise WrongValue(pointer, "a name is given twice")
    return metadata(found, pointer)


def feedback_of(body: SendEmailBody) -> NamedAddress | None:
    """Who is told of bounces."""
    return _address(body.feedback_forwarding_email_address, "/FeedbackForwardingEmailAddress")


def _address(text: str | None, pointer: str) -> NamedAddress | None:
    return None if text is None else mailbox(text, pointer)


def _addresses(given: Iterable[str] | None, pointer: str) -> tuple[NamedAddress, ...]:
    return tuple(mailbox(text, f"{pointer}/{at}") for at, text in enumerate(given or ()))


# A message that is described.


def simple_message(body: SendEmailBody, simple: SesSimple) -> NewMessage:
    """The message of which the octets are to be made."""
    author = _address(body.from_email_address, "/FromEmailAddress")
    if author is None:
        raise WrongValue("/FromEmailAddress", "it is required, unless the message is Raw")
    text, html = simple.body.text, simple.body.html
    if text is None and html is None:
        raise WrongValue("/Content/Simple/Body", "there is no content: Text or Html is required")
    to, cc, bcc = _destination(body)
    message = NewMessage(
        author=author,
        to=to,
        cc=cc,
        bcc=bcc,
        reply_to=_addresses(body.reply_to_addresses, "/ReplyToAddresses"),
        subject=simple.subject.data,
        text=text.data if text else None,
        html=html.data if html else None,
        attachments=tuple(
            _attachment(one, f"/Content/Simple/Attachments/{at}")
            for at, one in enumerate(simple.attachments or ())
        ),
        headers=_headers(simple.headers or (), "/Content/Simple/Headers"),
    )
    if not message.recipients:
        raise WrongValue("/Destination", "there is no recipient: one is required")
    return message


def _destination(body: SendEmailBody) -> tuple[tuple[NamedAddress, ...], ...]:
    given = body.destination
    if given is None:
        return (), (), ()
    return (
        _addresses(given.to_addresses, "/Destination/ToAddresses"),
        _addresses(given.cc_addresses, "/Destination/CcAddresses"),
        _addresses(given.bcc_addresses, "/Destination/BccAddresses"),
    )


def _headers(given: Sequence[SesHeader], pointer: str) -> tuple[tuple[str, str], ...]:
    for one in given:
        if one.name.lower().startswith(_OWN_PREFIX):
            raise WrongValue(pointer, f"{line(one.name, pointer)} counts in a raw message only")
    by_name = {one.name: one.value for one in given}
    if len(by_name) < len(given):
        raise WrongValue(pointer, "a field is given twice")
    return header_fields(by_name, pointer)


def _attachment(given: SesAttachment, pointer: str) -> Attachment:
    filename = line(given.file_name, f"{pointer}/FileName")
    return Attachment(
        filename,
        media_type(given.content_type or "", filename, f"{pointer}/ContentType"),
        from_base64(given.raw_content, f"{pointer}/RawContent"),
        content_id(given.content_id or "", f"{pointer}/ContentId"),
        is_inline=given.content_disposition == "INLINE",
        description=line(given.content_description or "", f"{pointer}/ContentDescription"),
    )


def placed(error: WrongValue) -> WrongValue:
    """*error*, of a message that was described, with where Amazon has the value."""
    _, _, rest = error.pointer.partition("/")
    name, slash, more = rest.partition("/")
    if name == "attachments":  # all else of a file was judged before
        more = f"{more.partition('/')[0]}/RawContent"
    return WrongValue(f"{_PLACES.get(name, '')}{slash}{more}", str(error))


# A message as it is.


class RawMessage(NamedTuple):
    """What is said of a message that is given as it is."""

    sender: str
    recipients: tuple[str, ...]  # each once
    options: Options
    missing: bytes  # fields of the header that it lacks

    @property
    def needs_utf8(self) -> bool:
        """Whether its envelope can only be written with SMTPUTF8."""
        return not all(one.isascii() for one in (self.sender, *self.recipients))


def raw_message(body: SendEmailBody, pieces: Sequence[bytes], limit: int) -> RawMessage:
    """The envelope and options of a message; what is said in JSON wins over its header.

    *limit*: the octets that its header may have.
    """
    header = header_of(pieces, limit)
    author = _address(body.from_email_address, "/FromEmailAddress")
    sender = feedback_of(body) or author
    named = [one.address.portable for group in _destination(body) for one in group]
    return RawMessage(
        author_of(header, "FromEmailAddress") if sender is None else sender.address.portable,
        tuple(dict.fromkeys(named)) or named_in(header, "Destination"),
        _with_header(options_of(body), header),
        _missing(body, author, header),
    )


def _missing(body: SendEmailBody, author: NamedAddress | None, header: Header) -> bytes:
    reply_to = _addresses(body.reply_to_addresses, "/ReplyToAddresses")
    given = (("From", (author,) if author else ()), ("Reply-To", reply_to))
    if not header.fields:  # it has none, or the line of a mailbox file stands before it
        return b""
    lacking = [(name, people) for name, people in given if people and header.first(name) is None]
    try:
        return b"".join(field(name, _shown(people)).raw for name, people in lacking)
    except (HeaderInjection, HeaderTooLong) as error:
        raise WrongValue("", str(error)) from error


def _shown(people: Sequence[NamedAddress]) -> str:
    return ", ".join(mailbox_text(phrase_of(one.name), one.address.portable) for one in people)


def _with_header(options: Options, header: Header) -> Options:
    """*options*, and what the header says of them where JSON does not."""
    for name in _REFUSED_FIELDS:
        if header.first(name) is not None:
            raise WrongValue("", f"{name}: {_NO_LISTS if 'LIST' in name else _NO_TENANTS}")
    streams = header.values(_STREAM)
    if len(streams) > 1:
        raise WrongValue("", f"{len(streams)} {_STREAM} seen, one is allowed")
    if streams and not options.stream:
        options = replace(options, stream=streams[0])
    tags = header.values(_TAGS)
    if tags and not options.metadata:
        options = replace(options, metadata=_metadata(_pairs(tags), ""))
    return options


def _pairs(values: Sequence[str]) -> list[tuple[str, str]]:
    """Names and values of tags, as in: campaign=spring, order=12."""
    found = []
    for part in ",".join(values).split(","):
        name, equals, value = part.strip().partition("=")
        if part.strip():
            if not equals:
                raise WrongValue("", f"{_TAGS}: {name[:80]!a} seen, NAME=VALUE is allowed")
            found.append((name.strip(), value.strip()))
    return found
