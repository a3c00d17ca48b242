"""Who may send as whom: envelope sender and From lie in the account's verified domains."""

from collections.abc import Collection, Sequence

from ingest.core import replies
from ingest.core.refusal import Reason, Refusal
from posthouse.mail.address import Address, InvalidAddress
from posthouse.mail.mailbox import mailboxes


def check_sender(sender: Address | None, domains: Collection[str]) -> Refusal | None:
    """Judge MAIL FROM; None is the null reverse-path."""
    if sender is None:
        return Refusal(Reason.SENDER, replies.NULL_SENDER)
    if not _is_at(sender, domains):
        reply = replies.foreign_domain("Sender", sender.ascii_domain, domains)
        return Refusal(Reason.SENDER, reply)
    return None


def check_author(values: Sequence[str], domains: Collection[str]) -> Refusal | None:
    """Judge the From header; *values* holds one unfolded value for each From field there is."""
    if not values:
        return Refusal(Reason.AUTHOR, replies.NO_AUTHOR)
    if len(values) > 1:
        return Refusal(Reason.AUTHOR, replies.SEVERAL_AUTHOR_FIELDS)
    try:
        authors = mailboxes(values[0])
    except InvalidAddress as error:
        return Refusal(Reason.AUTHOR, replies.unreadable_author(error))
    for author in authors:
        if not _is_at(author.address, domains):
            reply = replies.foreign_domain("From", author.address.ascii_domain, domains)
            return Refusal(Reason.AUTHOR, reply)
    return None


def _is_at(address: Address, domains: Collection[str]) -> bool:
    """Exact match: a verified domain says nothing about its subdomains (RULES U13)."""
    return address.domain in domains or address.ascii_domain in domains
