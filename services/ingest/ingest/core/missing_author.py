"""An author for bounces that name none: dma writes `From: MAILER-DAEMON <>` (decision 0029)."""

import re
from collections.abc import Sequence

from ingest.core.admission import SessionFacts
from ingest.core.message_head import MessageHead
from posthouse.mail.address import Address
from posthouse.mail.message import Header, HeaderInjection, HeaderTooLong, field

_LOCAL_PART = "MAILER-DAEMON"
# A display name that cannot be read in two ways, and an empty address. RFC 5322 has no such form.
_NO_ADDRESS = re.compile(r'([^"<>@,:;()\\]*+|"[^"\\<>@]*+"[ \t]*+)<[ \t]*+>')


def with_author(
    head: MessageHead, sender: str, recipients: Sequence[str], facts: SessionFacts
) -> tuple[MessageHead, tuple[str, ...]]:
    """*head* with an address of the account in From, and notes for the timeline.

    Only of mail from the null reverse-path, and only where From is one empty address; else *head*
    as it is. A mail server tells users of its own, so the domain is that of the first recipient
    whose domain the account has verified; where it has none of them, the first that it has, or else
    the first of its children.
    """
    if sender or not facts.domains:
        return head, ()
    fields = head.fields(b"from")
    if len(fields) != 1:
        return head, ()
    found = _NO_ADDRESS.fullmatch(fields[0].value)
    if found is None:
        return head, ()
    address = f"{_LOCAL_PART}@{_domain(recipients, facts)}"
    try:
        written = field("From", f"{found[1].strip()} <{address}>")
    except (HeaderInjection, HeaderTooLong):
        return head, ()  # it is refused as what it is
    header = Header(tuple([written if old is fields[0] else old for old in head.header.fields]))
    note = f"From had no address, and got {address}"
    return MessageHead(bytes(header), header, head.stray_line), (note,)


def _domain(recipients: Sequence[str], facts: SessionFacts) -> str:
    for recipient in recipients:
        if (named := Address.parse(recipient).ascii_domain) in facts.domains:
            return named
    # That of a child would make the message the child's.
    return min([one for one in facts.domains if one not in facts.child_domains] or facts.domains)
