"""A copy of a message from the sandbox domain."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class SandboxedCopy:
    """Who would get a rendition, and who does: it is kept to be read."""

    rendition_id: UUID
    recipients: tuple[str, ...]
    delivered_to: tuple[str, ...]  # those of them that are confirmed, if the profile says so

    def detail(self) -> dict[str, Any]:
        """For the timeline."""
        return {"recipients": self.recipients, "delivered_to": self.delivered_to}
