"""The five strict lanes of mail, from acceptance to delivery."""

from enum import IntEnum
from functools import cached_property


class Lane(IntEnum):
    """Priority of a message: 1 goes before everything else (RULES U08: the lower number wins)."""

    VERY_HIGH = 1
    HIGH = 2
    NORMAL = 3
    LOW = 4
    BULK = 5

    @cached_property  # asked for by every log line of a message
    def label(self) -> str:
        """The lane's name in metrics, logs and on the command line."""
        return self.name.lower().replace("_", "-")

    @classmethod
    def from_label(cls, label: str) -> "Lane":
        """The lane called *label* ("very-high") or numbered so ("1")."""
        for lane in cls:
            if label in (lane.label, str(lane.value)):
                return lane
        known = ", ".join(f"{lane.value} or {lane.label}" for lane in cls)
        raise ValueError(f"no lane is called {label!r}; lanes are {known}")
