"""How often a worker looks for work without having heard a hint."""

# An idle worker looks at least this often, and no more often.
_LONGEST_SECONDS = 1.0


class Polling:
    """The wait before the next look: it doubles after each look that finds nothing, up to a second.

    Hints announce nearly all work, so most looks find nothing. A look that finds work shows that
    hints are missing, and the following looks come soon again.
    """

    def __init__(self, shortest: float = 0.1) -> None:
        """*shortest*: the wait after a look that found something, in seconds."""
        self._shortest = self.seconds = shortest

    def adapt(self, *, found: bool) -> None:
        """Set the next wait after a look; *found*: work is due, even if we could not claim it."""
        longest = max(self._shortest, _LONGEST_SECONDS)
        self.seconds = self._shortest if found else min(2 * self.seconds, longest)
