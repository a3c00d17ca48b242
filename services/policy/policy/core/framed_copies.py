"""The header and footer of a list, around each of its messages (RULES U19).

Whether a message has them, it, its stream or its sender's address has said when it was accepted.
"""

from policy.core.draft import Draft
from policy.core.facts import Facts
from policy.core.request import Request
from posthouse.mail.message_flag import MessageFlag
from posthouse.tracking.list_frame import ListFrame, frame_body
from posthouse.tracking.part_rewriting import encoded_as

# All copies of a message are prepared and written together.
_MOST_OCTETS = 16 << 20


def frame(draft: Draft, facts: Facts) -> Draft:
    """What the list puts around its messages, in every copy; all of them have one body."""
    request = draft.request
    if not wants_frame(request):
        return draft
    if not any(found := _wanted(request, facts.frame or ListFrame())):
        return draft._replace(unframed="its list has none")
    first = draft.copies[0]
    body = request.submission.body if first.body is None else first.body
    if len(draft.copies) * len(body) > _MOST_OCTETS:
        return draft._replace(unframed=f"its copies would take more than {_MOST_OCTETS >> 20} MiB")
    framed = frame_body(first.header, body, found)
    copies = draft.copies
    if framed.body is not None:
        copies = tuple(
            [
                copy._replace(
                    header=encoded_as(copy.header, framed.transfer_encoding), body=framed.body
                )
                for copy in copies
            ]
        )
    return draft._replace(copies=copies, unframed="; ".join(framed.left))


def wants_frame(request: Request) -> bool:
    """Whether the message is to have a header or footer of its list."""
    flags = request.submission.attributes.flags
    return bool(flags) and (
        flags.get(MessageFlag.LIST_HEADER.value, False)
        or flags.get(MessageFlag.LIST_FOOTER.value, False)
    )


def _wanted(request: Request, found: ListFrame) -> ListFrame:
    flags = request.submission.attributes.flags
    if not flags.get(MessageFlag.LIST_HEADER.value, False):
        found = found._replace(header_html="", header_text="")
    if not flags.get(MessageFlag.LIST_FOOTER.value, False):
        found = found._replace(footer_html="", footer_text="")
    return found
