"""How often to look for work that nobody announced."""

# An idle relay asks no more often than this, whatever else there is.
_LONGEST_SECONDS = 1.0


class Polling:
    """The wait before the next look: twice as long after each that found nothing, up to a second.

    Hints announce nearly everything, so most looks find nothing. One that does says that hints are
    missing, and the next come soon again.
    """

    def __init__(self, shortest: float = 0.1) -> None:
        """*shortest*: the wait after a look that found something, in seconds."""
        self._shortest = self.seconds = shortest

    def looked(self, *, found: bool) -> None:
        """A look for work has ended; *found*: there was some, whether or not we could have it."""
        longest = max(self._shortest, _LONGEST_SECONDS)
        self.seconds = self._shortest if found else min(2 * self.seconds, longest)
