"""The fields that say how to unsubscribe from a message (RFC 2369, RFC 8058; RULES T21, U19).

They name the delivery, so that each recipient gets a copy of its own, whose header alone differs.
"""

from policy.core.draft import Draft
from policy.core.facts import Facts
from policy.core.request import Request
from policy.core.tracking_host import tracking_host
from posthouse.mail.message import Header
from posthouse.mail.message_flag import MessageFlag
from posthouse.mail.submission import Delivery
from posthouse.tracking.token import UnsubscribeToken, sign
from posthouse.tracking.tracked_body import Untracked
from posthouse.tracking.unsubscribe_address import unsubscribe_address

FIELD, POST_FIELD = "List-Unsubscribe", "List-Unsubscribe-Post"

# All copies of a message are prepared and written together.
_MOST_OCTETS = 16 << 20
_MARKED_TRANSACTIONAL = "transactional"  # by the attributes of a message


def offer_unsubscribe(draft: Draft, facts: Facts) -> Draft:
    """Mark the copies that are to say how to unsubscribe, where message and profile want that.

    A message that brings a field of its own is left alone.
    """
    if not _is_wanted(draft.request) or facts.relay.tracking is None:
        return draft
    if any(copy.header.first(FIELD) is not None for copy in draft.copies):
        return draft
    alone = [
        copy._replace(recipients=(to,), is_unsubscribable=True)
        for copy in draft.copies
        for to in copy.recipients
    ]
    if not alone:
        return draft
    octets = sum(len(bytes(c.header)) + len(c.body or b"") for c in draft.copies)
    if len(alone) * octets > _MOST_OCTETS and len(alone) > len(draft.copies):
        why = f"{len(alone)} copies of it would take more than {_MOST_OCTETS >> 20} MiB"
        return draft._replace(without_unsubscribe=why)
    return draft._replace(copies=tuple(alone))


def _is_wanted(request: Request) -> bool:
    attributes = request.submission.attributes
    if request.submission.is_ours or attributes.sandboxed:
        return False
    flags = attributes.flags
    if flags.get(_MARKED_TRANSACTIONAL):
        return False
    return flags.get(MessageFlag.UNSUBSCRIBE.value, request.profile.suppression.unsubscribe_fields)


def with_unsubscribe_fields(
    header: Header, delivery: Delivery, facts: Facts, *, domain: str, host: str
) -> Header:
    """*header* with the fields for *delivery*: an address, and a page where there is a host for it.

    *domain*: that of From. *host*: that of the return path, which takes the mail. A button of mail
    programs is promised for a page over TLS only, as RFC 8058 section 3.1 wants it.
    """
    relay = facts.relay.tracking
    assert relay is not None  # else no copy was marked
    found = tracking_host(facts, domain)
    url, key = ("", relay.key) if isinstance(found, Untracked) else (found.url, found.key)
    token = sign(UnsubscribeToken(delivery.id), key)
    ways = [f"<{url}/u/{token}>"] if url else []
    ways.append(f"<mailto:{unsubscribe_address(token, host)}?subject=unsubscribe>")
    header = header.append(FIELD, ", ".join(ways))
    if url.startswith("https://"):
        header = header.append(POST_FIELD, "List-Unsubscribe=One-Click")
    return header
