"""A clock that a test moves."""


class Clock:
    """Stands still until `now` is set."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now
