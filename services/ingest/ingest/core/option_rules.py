"""Options that an application gives as values (decision 0034).

They mean what X-Posthouse-* fields mean, and win over them; the knobs of the profile hold for both.
"""

from dataclasses import replace as with_changes

from ingest.core import refusals
from ingest.core.admission import Admission, Incoming
from ingest.core.own_headers import Unreadable, digest, idempotency_key, scheduled, tracked
from ingest.core.refusals import Refusal
from ingest.core.tagging import sorted_out


def apply_options(message: Incoming, decided: Admission) -> Admission | Refusal:
    """What the options of *message* ask for, beside its stream; as a rule."""
    options = message.options
    if options.tags:
        tags, bad = sorted_out(options.tags, message.session.profile.tags)
        if bad:
            return refusals.unreadable_control("tags", str(bad[0]))
        attributes = with_changes(decided.attributes, tags=tags)
        decided = decided._replace(attributes=attributes)
    if options.metadata:
        attributes = with_changes(decided.attributes, metadata=options.metadata)
        decided = decided._replace(attributes=attributes)
    if options.flags:
        decided = tracked(message, decided, options.flags)
    if options.lane is not None:
        decided = decided._replace(lane=min(decided.lane, options.lane))
    if options.send_at is not None:
        try:
            decided = scheduled(message, decided, options.send_at)
        except Unreadable as error:
            return refusals.unreadable_control("send_at", f"{options.send_at} seen, {error}")
    if options.key:
        key = idempotency_key(options.key, options.digest or digest(message))
        decided = decided._replace(terms=with_changes(decided.terms, key=key))
    return decided
