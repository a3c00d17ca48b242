"""What the timeline says of a decision."""

from collections.abc import Sequence
from typing import Any

from policy.core.draft import Draft
from policy.core.facts import SigningIdentity


def detail_of(
    draft: Draft, deliveries: int, identities: Sequence[SigningIdentity]
) -> dict[str, Any]:
    """The detail for the timeline; the Message-ID is that of the first copy."""
    keys = dict.fromkeys([key for identity in identities for key in identity.keys])
    detail: dict[str, Any] = {
        "profile": draft.request.profile.name,
        "deliveries": deliveries,
        "message_id": next((c.header.first("Message-ID") for c in draft.copies), None),
        "signed": [f"{key.selector}._domainkey.{key.domain}" for key in keys],
    }
    notes = dict.fromkeys([identity.note for identity in identities if identity.note])
    if tracking := next((copy.tracking for copy in draft.copies if copy.tracking), None):
        body = tracking.body
        detail["tracked"] = {"opens": body.has_pixel, "links": len(body.targets)}
        if tracking.host.note:
            notes[tracking.host.note] = None
    if draft.unframed:
        notes[f"no header or footer of its list: {draft.unframed}"] = None
    if draft.untracked:
        notes[f"untracked: {draft.untracked}"] = None
    if draft.without_unsubscribe:
        notes[f"no List-Unsubscribe: {draft.without_unsubscribe}"] = None
    notes |= dict.fromkeys(draft.request.submission.attributes.notes)
    return {**detail, "note": "; ".join(notes)} if notes else detail
