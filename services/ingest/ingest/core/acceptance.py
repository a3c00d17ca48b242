"""From a complete message to a submission, or to the reason why it is refused."""

from typing import NamedTuple, assert_never
from uuid import UUID

from ingest.core import refusals
from ingest.core.message_checks import (
    SessionFacts,
    choose_account,
    choose_lane,
    first_refusal,
    head_and_body,
)
from ingest.core.refusals import Refusal
from posthouse.mail.submission import Submission
from posthouse.smtp.data import LINE_LIMIT, Flaw
from posthouse.smtp.session_state import MessageReceived


class Client(NamedTuple):
    """What the Received header of a message says about its client."""

    address: str
    helo: str
    tls: str


def submission_or_refusal(
    message: MessageReceived, facts: SessionFacts, client: Client, id_: UUID
) -> Submission | Refusal:
    """What is stored as *id_*, when all checks of the profile pass."""
    if isinstance(message.content, Flaw):
        return _refusal_for(message.content, facts.max_message_octets)
    found = head_and_body(message.content, facts.max_header_octets)
    if isinstance(found, Refusal):
        return found
    head, body = found
    if (refusal := first_refusal(head, facts)) is not None:
        return refusal
    return Submission(
        id=id_,
        account_id=choose_account(head, message.envelope.sender, facts),
        credential_id=facts.credential_id,
        profile=facts.profile_name,
        profile_revision=facts.profile_revision,
        lane=choose_lane(head, facts),
        sender=message.envelope.sender,
        recipients=tuple(message.envelope.recipients),
        smtputf8=message.envelope.smtputf8,
        client=client.address,
        helo=client.helo,
        tls=client.tls,
        header=head.octets,
        body=body,
    )


def _refusal_for(flaw: Flaw, limit: int) -> Refusal:
    match flaw:
        case Flaw.TOO_BIG:
            return refusals.too_big(limit)
        case Flaw.BARE_LINE_END:
            return refusals.BARE_LINE_END
        case Flaw.LONG_LINE:
            return refusals.line_too_long(LINE_LIMIT)
        case _:
            assert_never(flaw)
