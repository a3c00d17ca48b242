"""Recipients on the account's suppression lists (RULES X19)."""

from policy.core.draft import Draft
from policy.core.facts import Facts
from policy.core.request import Request
from posthouse.mail.suppression_list import (
    SuppressedRecipient,
    Suppression,
    SuppressionList,
)
from posthouse.profiles.suppression_scopes import WHOLE_ACCOUNT, scopes_of


def drop_suppressed(draft: Draft, facts: Facts) -> Draft:
    """Suppressed recipients get no delivery, and an event instead."""
    dropped = {
        address: entry
        for address, entries in facts.suppressions.items()
        if (entry := next((e for e in entries if _counts(e, draft.request)), None))
    }
    if not dropped:
        return draft
    copies = tuple(
        c._replace(recipients=tuple(r for r in c.recipients if r.address not in dropped))
        for c in draft.copies
    )
    named = dict.fromkeys(r.address for c in draft.copies for r in c.recipients)
    suppressed = tuple(SuppressedRecipient(a, dropped[a]) for a in named if a in dropped)
    return Draft(draft.request, copies, suppressed)


def _counts(entry: Suppression, request: Request) -> bool:
    """Whether *entry* applies to this message, by the knobs of its profile and its flags."""
    knobs, attributes = request.profile.suppression, request.submission.attributes
    flags = attributes.flags  # those that the profile lets a message, stream or sender set
    checked = {
        SuppressionList.BOUNCE: flags.get("check_bounces", knobs.check_bounces),
        SuppressionList.UNSUBSCRIBE: flags.get("check_unsubscribes", knobs.check_unsubscribes),
        SuppressionList.COMPLAINT: knobs.check_complaints,  # no flag of a message overrides it
        SuppressionList.MANUAL: True,
    }
    scopes = (WHOLE_ACCOUNT, *scopes_of(request.profile, attributes))
    return checked[entry.list] and entry.scope in scopes
