"""Servers whose TLS failed or stalled: opportunistic mail goes to them in clear at once."""

from dispatcher.core.routes import ServerAddress

# Then TLS is tried again, in seconds.
REMEMBERED_SECONDS = 3600.0

MOST_SERVERS = 10_000


class BrokenTls:
    """Remembers servers. Times are seconds of a steady clock.

    Only opportunistic mail asks: broken TLS is no worse than none for it (RFC 7435 section 3).
    """

    def __init__(self) -> None:
        self._until: dict[ServerAddress, float] = {}

    def failed(self, server: ServerAddress, now: float) -> None:
        """TLS was begun there, and came to nothing."""
        self._until.pop(server, None)
        if len(self._until) >= MOST_SERVERS:
            del self._until[next(iter(self._until))]  # the one that failed first
        self._until[server] = now + REMEMBERED_SECONDS

    def forget(self, server: ServerAddress) -> None:
        """TLS is to be tried there again at once."""
        self._until.pop(server, None)

    def is_known(self, server: ServerAddress, now: float) -> bool:
        """Whether TLS failed there within the last hour."""
        return self._until.get(server, now) > now
