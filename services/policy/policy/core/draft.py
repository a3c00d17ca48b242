"""A draft: the message so far, in as many copies as recipients must see different ones.

A step takes a draft and facts and returns a draft or a rejection. It changes nothing in place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from policy.core.facts import Facts, TrackingHost
from policy.core.request import (
    Recipient,
    Request,
    author_field,
    signing_domains,
)
from posthouse.mail.message import Header
from posthouse.mail.suppression_list import SuppressedRecipient
from posthouse.tracking.link_set import LinkSet
from posthouse.tracking.tracked_body import TrackedBody


class Tracking(NamedTuple):
    """What a copy is tracked by."""

    body: TrackedBody
    links: LinkSet  # where its links lead
    host: TrackingHost
    named: str  # the recipient whose delivery links and pixel name; it may have another copy


class Copy(NamedTuple):
    """One form of the message, and who gets it in that form (a tuple: each step makes one)."""

    header: Header
    recipients: tuple[Recipient, ...]
    body: bytes | None = None  # None: as it came
    tracking: Tracking | None = None  # its body has gaps for links and pixel, in place of *body*
    is_unsubscribable: bool = False  # its header is to say how, for its only recipient


class Draft(NamedTuple):
    """The message so far, in as many copies as recipients must see different ones."""

    request: Request
    copies: tuple[Copy, ...]
    suppressed: tuple[SuppressedRecipient, ...] = ()
    untracked: str = ""  # why something that is to be tracked is not
    unframed: str = ""  # why what its list puts around its messages is not around this one
    without_unsubscribe: str = ""  # why it does not say how to unsubscribe

    @classmethod
    def of(cls, request: Request) -> "Draft":
        """The message as it came, the same for all recipients."""
        return cls(request, (Copy(request.header, request.recipients),))

    def edit_headers(self, edit: Callable[[Header], Header]) -> "Draft":
        """This draft with *edit* done to the header of every copy."""
        copies = tuple([Copy(edit(one[0]), *one[1:]) for one in self.copies])
        return self._replace(copies=copies)


@dataclass(frozen=True, slots=True)
class Rejection:
    """The message is sent to none of its recipients; *reason* is for its sender."""

    reason: str


Step: TypeAlias = Callable[[Draft, Facts], Draft | Rejection]


def from_domains(header: Header, request: Request) -> tuple[str, ...]:
    """The domains that may sign for a copy of *request* under *header*, first choice first.

    Raises LookupError when a step made up a domain that no facts were gathered for: `read` has to
    name it in the request.
    """
    author = author_field(header)
    if author is request.author:
        return request.from_domains
    domains = signing_domains(author, request.submission, request.profile)
    for domain in domains:
        if domain not in request.from_domains:
            raise LookupError(f"a step wrote {domain} into From: it was not gathered for")
    return domains
