"""Where replies to a message may go (RULES X13)."""

from ingest.core import refusals, sender_refusals
from ingest.core.admission import Admission, Incoming
from ingest.core.refusals import Refusal
from posthouse.mail.address import Address, InvalidAddress
from posthouse.mail.mailbox import address_list


def refuse_several_reply_to(message: Incoming, decided: Admission) -> Admission | Refusal:
    """There is one Reply-To field at most (E16)."""
    several = len(message.head.fields(b"reply-to")) > 1
    return refusals.several_fields("Reply-To") if several else decided


def refuse_other_reply_to(message: Incoming, decided: Admission) -> Admission | Refusal:
    """Replies go to authors of the message (U21)."""
    fields = message.head.fields(b"reply-to")
    if len(fields) > 1:
        return refusals.several_fields("Reply-To")
    if not fields:
        return decided
    authors = {_compared(author.address): str(author.address) for author in message.head.authors}
    try:
        found = address_list(fields[0].value)
    except InvalidAddress as error:
        return refusals.unreadable_field("Reply-To", error)
    for mailbox in found:
        if _compared(mailbox.address) not in authors:
            return sender_refusals.foreign_reply_to(str(mailbox.address), authors.values())
    return decided


def _compared(address: Address) -> tuple[str, str]:
    return address.local.lower(), address.ascii_domain
