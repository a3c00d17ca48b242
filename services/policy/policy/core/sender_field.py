"""The Sender field: who sends where the author does not (RULES C14 to C17, RFC 5322 3.6.2)."""

from collections.abc import Sequence

from policy.core.draft import Draft
from policy.core.facts import Facts
from posthouse.mail.address import Address, InvalidAddress
from posthouse.mail.mailbox import Mailbox, mailboxes
from posthouse.mail.message import Header

# Every domain that takes mail has this mailbox (RFC 5321 section 4.5.1).
_OF_RELAY = "postmaster"


def name_sender(draft: Draft, facts: Facts) -> Draft:
    """Add a Sender field where the author is not at the domain that sends; From stays.

    That is the domain of the Signed-by address, if the account owns it. Without one an author at
    any domain of the account sends for himself, and the relay sends for all others. A Sender of
    the client is replaced where one is added.
    """
    signed_by = _owned(draft.request.profile.sender.signed_by, facts)

    def edit(header: Header) -> Header:
        sender = _sender(_authors(header), header, signed_by, facts)
        return header.replace("Sender", sender) if sender else header

    return draft.edit_headers(edit)


def _owned(signed_by: str, facts: Facts) -> Address | None:
    address = Address.parse(signed_by) if signed_by else None
    return address if address and address.ascii_domain in facts.domains else None


def _authors(header: Header) -> Sequence[Mailbox]:
    try:
        return mailboxes(header.first("From") or "")
    except InvalidAddress:  # it cannot be said who the author is
        return ()


def _sender(
    authors: Sequence[Mailbox], header: Header, signed_by: Address | None, facts: Facts
) -> str | None:
    """The value of the field that has to be added; None for none."""
    if signed_by:
        sender = f"{signed_by.local}@{signed_by.ascii_domain}"
        sending = {signed_by.ascii_domain}
    else:
        sender = f"{_OF_RELAY}@{facts.relay.own.domain}"
        sending = set(facts.domains)
    by_authors = bool(authors) and all(one.address.ascii_domain in sending for one in authors)
    # Several authors need a Sender, wherever they are.
    is_named = len(authors) == 1 or header.first("Sender")
    return None if by_authors and is_named else sender
