"""What is remembered of a store that failed, so that clients need not wait to hear of it."""

from posthouse.mail.reply import Reply

_TURN_AWAY_SECONDS = 1.0


class StoreTrouble:
    """After a failure clients are turned away at once for a second, then it is tried again."""

    def __init__(self) -> None:
        self._last: Reply | None = None
        self._until = 0.0

    def failed(self, reply: Reply, now: float) -> None:
        """Remember that clients had to be told *reply*."""
        self._last = reply
        self._until = now + _TURN_AWAY_SECONDS

    def over(self) -> None:
        """The store took something."""
        self._last = None

    def reply(self, now: float) -> Reply | None:
        """What to turn a client away with, or None when the store may be tried."""
        return self._last if now < self._until else None
