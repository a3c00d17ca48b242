"""How many transactions may run, by lane, so that higher lanes have places kept free."""

from dataclasses import dataclass

from posthouse.mail.lane import Lane


class InvalidLaneLimits(ValueError):
    """The text does not give five limits that make sense."""


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """For each lane, how many transactions may be running for one more of it to start.

    A higher lane may always have at least as many as a lower one: the difference is kept free
    for it, so that an alert does not wait for a slow newsletter to leave the wire.
    """

    limits: tuple[int, int, int, int, int]

    @classmethod
    def parse(cls, text: str) -> "LaneLimits":
        """Read "24,22,20,20,20": lanes 1 to 5, never rising, each at least 1."""
        try:
            first, second, third, fourth, fifth = (int(part) for part in text.split(","))
        except ValueError as error:
            raise InvalidLaneLimits(
                f"{text!r} is not five numbers such as 24,22,20,20,20"
            ) from error
        limits = (first, second, third, fourth, fifth)
        if min(limits) < 1 or list(limits) != sorted(limits, reverse=True):
            raise InvalidLaneLimits(
                f"{text!r}: each lane needs at least 1 and at most what the lane above it has"
            )
        return cls(limits)

    def of(self, lane: Lane) -> int:
        """The limit of *lane*."""
        return self.limits[lane - 1]

    def free(self, lane: Lane, running: int) -> int:
        """How many more transactions of *lane* may start while *running* are on the wire."""
        return max(0, self.of(lane) - running)

    def lowest(self, running: int) -> Lane | None:
        """The lowest lane of which one more may start, None when not even the highest may."""
        startable = [lane for lane in Lane if self.free(lane, running)]
        return max(startable, default=None)

    def __str__(self) -> str:
        return ",".join(str(limit) for limit in self.limits)


# Ten times what one destination may have: a few slow destinations leave room for others.
TO_MANY = LaneLimits((120, 110, 100, 100, 100))
# Few servers take more connections than this from one client.
TO_A_SMARTHOST = LaneLimits((24, 22, 20, 20, 20))


def worth_holding(rate: float, seconds: float, most: int) -> int:
    """How many deliveries to claim beyond those on the wire, at *rate* transactions a second.

    Only what will start within *seconds*: what waits in one process's memory can neither be taken
    by an idle one nor be overtaken by it.
    """
    return min(most, int(rate * seconds))
