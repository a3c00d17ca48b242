"""The messages that a request to SendGrid's POST /v3/mail/send describes."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from ingest.core import sendgrid_values
from ingest.core.message_options import NamedAddress
from ingest.core.message_values import line
from ingest.core.new_message import Alternative, NewMessage, escaped
from ingest.core.options import Options
from ingest.core.request_json import as_kind
from ingest.core.sendgrid_body import MailSendBody, PersonalizationBody
from ingest.core.sendgrid_refused import refuse_by_name, refuse_settings
from ingest.core.substitutions import Substitutions

_TAGS_AT_COST_OF_ONE = 6  # a text is searched for so many while it is read once


class MailSend:
    """One message for each personalization."""

    def __init__(self, found: Any, most_octets: int) -> None:
        """Read *found*, of JSON; raises WrongValue. *most_octets*: of a message."""
        refuse_by_name(found)
        body = self._body = as_kind(found, MailSendBody)
        refuse_settings(body)
        sendgrid_values.check(body)
        self._substitutions = Substitutions(most_octets)
        self._texts = sendgrid_values.texts(body)
        self._attachments = tuple(
            sendgrid_values.attachment(one, f"/attachments/{at}")
            for at, one in enumerate(body.attachments)
        )
        self._flags = sendgrid_values.flags(body.tracking_settings)
        self._characters = sendgrid_values.characters(body.subject, body.headers)
        self._characters += sum(len(one.value) for one in body.content)
        self._characters += sum(len(one.content) for one in body.attachments)

    @property
    def count(self) -> int:
        """How many messages there are."""
        return len(self._body.personalizations)

    @property
    def is_rehearsal(self) -> bool:
        """Whether they are only to be checked."""
        settings = self._body.mail_settings
        mode = settings.sandbox_mode if settings else None
        return mode is not None and mode.enable

    def cost(self, number: int, of_address: int) -> int:
        """How many octets of text cost as much as that message to make, at most.

        *of_address*: how many cost as much as an address.
        """
        one = self._body.personalizations[number]
        people = len(one.to) + len(one.cc) + len(one.bcc) + len(self._body.reply_to_list)
        cost = self._characters + sendgrid_values.characters(one.subject, one.headers)
        if one.substitutions:  # a short text may become a long one
            shortest = min(map(len, one.substitutions)) or 1
            longest = max(len(value or "") for value in one.substitutions.values())
            tags = len(one.substitutions)
            cost += cost // shortest * longest + cost * tags // _TAGS_AT_COST_OF_ONE
        return cost + of_address * people

    def message(self, number: int) -> NewMessage:
        """The message of that personalization, from 0; raises WrongValue."""
        body, one, pointer = self._one(number)
        values = sendgrid_values.values(one, f"{pointer}/substitutions")
        subject, place = (body.subject or "", "/subject")
        if one.subject is not None:
            subject, place = one.subject, f"{pointer}/subject"
        sender, of_sender = (one.sender, pointer) if one.sender else (body.sender, "")
        to, cc, bcc = sendgrid_values.recipients(one, pointer)
        self._substitutions.begin()
        texts = dict(self._filled(values))
        return NewMessage(
            author=sendgrid_values.address(sender.email, sender.name, f"{of_sender}/from"),
            to=to,
            cc=cc,
            bcc=bcc,
            reply_to=tuple(self._reply_to(values)),
            subject=line(self._substitutions.filled(subject, values, place), place),
            text=texts.pop("text/plain", None),
            html=texts.pop("text/html", None),
            alternatives=tuple(Alternative(kind, text) for kind, text in texts.items()),
            attachments=self._attachments,
            headers=sendgrid_values.headers(body, one, f"{pointer}/headers"),
        )

    def options(self, number: int) -> Options:
        """What is asked for beside that message; raises WrongValue."""
        body, one, pointer = self._one(number)
        send_at = body.send_at if one.send_at is None else one.send_at
        metadata = {**body.custom_args, **one.custom_args}
        if metadata:
            sendgrid_values.check_octets(metadata, f"{pointer}/custom_args")
        return Options(
            tags=tuple(body.categories),
            metadata=metadata,
            flags=self._flags,
            send_at=None if send_at is None else datetime.fromtimestamp(send_at, UTC),
        )

    def located(self, number: int, pointer: str) -> str:
        """Where what *pointer* names in that message stands in the request."""
        field, _, rest = pointer[1:].partition("/")
        given = msgspec.to_builtins(self._one(number)[1]).get(field)
        if not given or (field == "headers" and rest not in map(escaped, given)):
            return pointer.replace("/content_type", "/type")
        return f"/personalizations/{number}{pointer}"

    def _one(self, number: int) -> tuple[MailSendBody, PersonalizationBody, str]:
        return self._body, self._body.personalizations[number], f"/personalizations/{number}"

    def _filled(self, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        for at, (kind, text) in enumerate(self._texts.items()):
            yield kind, self._substitutions.filled(text, values, f"/content/{at}/value")

    def _reply_to(self, values: Mapping[str, str]) -> Iterator[NamedAddress]:
        body, filled = self._body, self._substitutions.filled
        places = [(f"/reply_to_list/{at}", each) for at, each in enumerate(body.reply_to_list)]
        for pointer, each in [("/reply_to", body.reply_to)] if body.reply_to else places:
            address, name = (filled(text, values, pointer) for text in (each.email, each.name))
            yield sendgrid_values.address(address, name, pointer)
