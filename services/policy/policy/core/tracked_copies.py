"""Tracking of opens and clicks: who gets links and a pixel of their own (RULES X08, M14, T16).

What is tracked, message, stream, sender and profile have said when it was accepted. Each recipient
that is tracked gets a copy of its own, since links name its delivery; what the copies have in
common is made once, and filled in when deliveries have ids.
"""

from collections.abc import Iterator, Sequence
from uuid import UUID

from policy.core.draft import Copy, Draft, Tracking, from_domains
from policy.core.facts import Facts, TrackingHost
from policy.core.request import Recipient, Request
from policy.core.tracking_host import hosts_of_links, tracking_host
from posthouse.mail.body_edits import BodyEdit, edited, packed
from posthouse.mail.message_flag import MessageFlag
from posthouse.mail.submission import Delivery, RecipientKind
from posthouse.profiles.choices import BccTracking
from posthouse.tracking.link_rules import LinkRules, urls_in
from posthouse.tracking.link_set import LinkSet
from posthouse.tracking.part_rewriting import encoded_as
from posthouse.tracking.token import CLICK_LETTERS, SHORT_LETTERS, OpenToken, sign, sign_links
from posthouse.tracking.tracked_body import TrackedBody, Untracked, Wanted, track_body

# All copies of a message are prepared and written together.
_MOST_OCTETS = 16 << 20
_PIXEL = (
    '<img src="{}" alt="" width="1" height="1" border="0"'
    ' style="width:1px;height:1px;border:0;margin:0;padding:0">'
)


def track(draft: Draft, facts: Facts) -> Draft:
    """Links lead to us and a pixel tells of opens, where message or profile want that."""
    request = draft.request
    if not wants_tracking(request):
        return draft
    wanted = _wanted(request)
    copies = [copy for copy in draft.copies if copy.recipients]
    if request.submission.attributes.sandboxed:
        return draft._replace(untracked="it is from the sandbox domain")
    if not copies:
        return draft
    tracked = tuple(_tracked(draft, request.profile.tracking.bcc))
    first = copies[0]
    found = _body_of(first, request, facts, wanted, len(tracked))
    if isinstance(found, Untracked):
        return draft._replace(untracked=found.reason)
    body, host = found
    links = LinkSet.of(request.submission.account_id, body.targets)
    copies = [
        _with_gaps(copy, body, Tracking(body, links, host, named)) if named else copy
        for copy, named in tracked
    ]
    return draft._replace(copies=tuple(copies), untracked="; ".join(body.left))


def wants_tracking(request: Request) -> bool:
    """Whether opens or clicks of the message are to be tracked, if that can be."""
    wanted = _wanted(request)
    return (wanted.opens or wanted.clicks) and not request.submission.is_ours


def _wanted(request: Request) -> Wanted:
    flags, knobs = request.submission.attributes.flags, request.profile.tracking
    return Wanted(
        flags.get(MessageFlag.OPEN_TRACKING.value, knobs.opens),
        flags.get(MessageFlag.CLICK_TRACKING.value, knobs.clicks),
        knobs.text_links,
    )


def _body_of(
    copy: Copy, request: Request, facts: Facts, wanted: Wanted, copies: int
) -> tuple[TrackedBody, TrackingHost] | Untracked:
    domain = next(iter(from_domains(copy.header, request)), "")
    host = tracking_host(facts, domain)
    if isinstance(host, Untracked):
        return host
    body = request.submission.body if copy.body is None else copy.body
    if copies > 1 and copies * len(body) > _MOST_OCTETS:
        return Untracked(f"{copies} copies of it would take more than {_MOST_OCTETS >> 20} MiB")
    knobs = request.profile.tracking
    rules = LinkRules(
        frozenset(knobs.no_track_hosts) | hosts_of_links(facts, domain),
        urls_in(copy.header.values("List-Unsubscribe")),
        request.submission.attributes.traffic_source,
    )
    longest = _pixel(host, "x" * SHORT_LETTERS), _link(host, "x" * CLICK_LETTERS)
    found = track_body(copy.header, body, wanted, rules, longest)
    return found if isinstance(found, Untracked) else (found, host)


def _tracked(draft: Draft, bcc: BccTracking) -> Iterator[tuple[Copy, str]]:
    """Each copy, and the recipient that its links name; "" for one that is not tracked."""
    first = next((to.address for c in draft.copies for to in c.recipients if _is_shown(to)), "")
    for copy in draft.copies:
        shared: dict[str, list[Recipient]] = {}  # by the recipient that is named
        for to in copy.recipients:
            shared.setdefault(_named(to, bcc, first), []).append(to)
        if not shared:
            yield copy, ""
        for named, recipients in shared.items():
            yield copy._replace(recipients=tuple(recipients)), named


def _is_shown(to: Recipient) -> bool:
    return to.kind in (RecipientKind.TO, RecipientKind.CC)


def _named(to: Recipient, bcc: BccTracking, first: str) -> str:
    match to.kind:
        case RecipientKind.BCC if bcc is BccTracking.NONE:
            return ""
        case RecipientKind.BCC if bcc is BccTracking.SAME_AS_TO:
            return first or to.address
        case RecipientKind.ARCHIVE:  # an exact replica of the copy for To (T16)
            return first or to.address
        case _:
            return to.address


def _with_gaps(copy: Copy, body: TrackedBody, tracking: Tracking) -> Copy:
    header = encoded_as(copy.header, body.rewritten.transfer_encoding)
    return copy._replace(header=header, tracking=tracking)


def body_and_edits(
    copy: Copy, deliveries: Sequence[Delivery], named: dict[str, UUID], own: bytes
) -> tuple[bytes | None, bytes | None]:
    """The body of *copy*, with its links, and what makes it of the submission's *own*, if shorter.

    *named* learns whose *deliveries* these are.
    """
    if copy.tracking is None:
        return copy.body, None
    named |= {delivery.recipient: delivery.id for delivery in deliveries}
    edits = _edits(copy.tracking, named.get(copy.tracking.named, deliveries[0].id))
    if copy.body is not None:
        return edited(copy.body, edits), None
    stored = packed(edits)
    return edited(own, edits), stored if len(stored) < len(own) // 2 else None


def _edits(tracking: Tracking, delivery: UUID) -> list[BodyEdit]:
    """What makes the body of a copy whose links name *delivery*."""
    url, key, _ = tracking.host
    tokens = sign_links(delivery, tracking.links.id, len(tracking.links.targets), key)
    pixel = ""
    if tracking.body.has_pixel:
        pixel = _pixel(tracking.host, sign(OpenToken(delivery), key))
    return tracking.body.edits(pixel, [f"{url}/c/{token}" for token in tokens])


def _link(host: TrackingHost, token: str) -> str:
    return f"{host.url}/c/{token}"


def _pixel(host: TrackingHost, token: str) -> str:
    return _PIXEL.format(f"{host.url}/o/{token}")
