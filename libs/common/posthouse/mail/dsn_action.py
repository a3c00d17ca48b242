"""What a report says of a recipient."""

from enum import StrEnum


class Action(StrEnum):
    """What the reporting server did with the recipient (RFC 3464 section 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"
