"""How much of the work a failure speaks for (DESIGN section 5)."""

from enum import StrEnum


class Scope(StrEnum):
    """What else would fail for the same reason."""

    RECIPIENT = "recipient"  # this mailbox; the only scope that may ever suppress an address
    MESSAGE = "message"  # this content; other messages to the same place may pass
    HOST = "host"  # this server; another MX of the site may take it
    SITE = "site"  # every server of the destination
    SENDER = "sender"  # our address, our reputation, our policy
