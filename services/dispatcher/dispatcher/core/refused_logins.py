"""Relays that refused our login: they are left alone for a while, so that they do not lock us out.

Wrong credentials stay wrong until the operator mends them, and every message of the route would
try them again.
"""

from dispatcher.core.routes import Route
from posthouse.mail.outcome import Deferred
from posthouse.mail.reply import Reply
from posthouse.mail.scope import Scope

# For so long (seconds) nobody logs in; then one attempt does, and if it fails, the next one as much
# later.
PAUSE_SECONDS = 60.0


class RefusedLogins:
    """Remembers static routes, of which there are few. Times are seconds of a steady clock."""

    def __init__(self) -> None:
        self._known: dict[Route, tuple[Reply, float]] = {}  # why, and when to try again

    def refused(self, route: Route, reply: Reply, now: float) -> None:
        """The relay of *route* did not let us in."""
        self._known[route] = reply, now + PAUSE_SECONDS

    def accepted(self, route: Route) -> None:
        """It did, and has answered for a message."""
        if self._known:
            self._known.pop(route, None)

    def pause(self, route: Route, now: float) -> Deferred | None:
        """Why nobody is to log in now; None for the one that may try."""
        if (known := self._known.get(route)) is None:
            return None
        reply, tried_again_at = known
        if now >= tried_again_at:
            self._known[route] = reply, now + PAUSE_SECONDS  # others wait for what comes of it
            return None
        text = f"not tried, because the relay did not let us in a moment ago: {reply}"
        return Deferred(Reply(451, text, "4.7.0"), Scope.SITE)
