"""What is known of one open or click before anybody judges who it was."""

from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from posthouse.mail.events import EventKind

MOST_AGENT = 300
"""Characters of an agent that are kept."""


class Visit(NamedTuple):
    """A request for a pixel or a link, under a token of ours."""

    id: UUID  # of the event that it becomes
    kind: EventKind  # opened or clicked
    delivery_id: UUID
    at: float  # seconds of a clock that only goes forward
    client: str  # its address
    agent: str  # as it calls itself
    is_head: bool = False
    is_prefetch: bool = False  # it says that nobody has asked for it yet
    link: int | None = None  # from 0; of a click
    target: str = ""


@dataclass(frozen=True, slots=True)
class VisitFacts:
    """What a verdict depends on."""

    kind: EventKind
    agent: str
    client: str
    is_head: bool
    is_prefetch: bool
    # Since it was delivered; below 0: it was not yet. None: that is not known.
    seconds: float | None
    # Different links of the same copy: asked for within a second of it, by anybody and by the same
    # client; and by the same client one after the other, as they stand in the message.
    links_together: int = 0
    links_of_client: int = 0
    links_in_order: int = 0


def agent_text(given: bytes) -> str:
    """What a client calls itself, printable and not too long."""
    text = given[:MOST_AGENT].decode("utf-8", "replace")
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
