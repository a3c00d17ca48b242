"""Failures that may be a passing fault: deferred until they are the same some minutes later.

A zone that is being edited has no MX for a moment, and an overloaded front forgets extensions. So
such a failure is final only when this process has seen it twice. What it remembers ends with it,
and other dispatchers see for themselves: then the end comes later, never sooner.
"""

from dataclasses import dataclass, field
from uuid import UUID

from posthouse.mail.outcome import Bounced, Deferred
from posthouse.mail.reply import Reply
from posthouse.mail.scope import Scope

# The second look counts when it is so much later than the first, in seconds. It is a look-up of
# its own: what leads nowhere is cached for a minute only.
APART_SECONDS = 300.0
# After that long, the next look is a first one again.
FORGOTTEN_SECONDS = 24 * 3600.0

MOST_REMEMBERED = 50_000


@dataclass(frozen=True, slots=True)
class Unconfirmed(Deferred):
    """Deferred for now; *final* if it is the same some minutes later."""

    final: Bounced = field(kw_only=True)


def unconfirmed(final: Bounced, scope: Scope | None = None) -> Unconfirmed:
    """*final*, not to be believed yet; *scope* until then, if it is another one."""
    reply = final.reply
    enhanced = f"4{reply.enhanced[1:]}" if reply.enhanced else None
    return Unconfirmed(Reply(451, reply.text, enhanced), scope or final.scope, final=final)


class SecondLook:
    """Remembers failures by domain, or by delivery. Times are seconds of a steady clock."""

    def __init__(self) -> None:
        self._first: dict[str | UUID, tuple[str | None, float]] = {}

    def at(self, key: str | UUID, seen: Unconfirmed, now: float) -> Bounced | Deferred:
        """What follows for *key*: final if the same was seen there before, minutes ago."""
        reason = seen.final.reply.enhanced
        known = self._first.get(key)
        if known is None or known[0] != reason or now - known[1] > FORGOTTEN_SECONDS:
            self._first.pop(key, None)
            if len(self._first) >= MOST_REMEMBERED:
                del self._first[next(iter(self._first))]  # the one seen first
            self._first[key] = reason, now
        elif now - known[1] >= APART_SECONDS:
            return seen.final
        return Deferred(seen.reply, seen.final.scope)

    def disagrees(self, key: str | UUID) -> None:
        """It was not so this time."""
        self._first.pop(key, None)
