"""What an application asks for beside its message, said as values and not in header fields."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from posthouse.mail.lane import Lane
from posthouse.mail.message_flag import Flags


@dataclass(frozen=True, slots=True)
class Options:
    """What is not said is empty, and then the header of the message or its profile decides."""

    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    flags: Flags = field(default_factory=dict)  # of tracking
    stream: str = ""  # its code or name
    lane: Lane | None = None
    send_at: datetime | None = None  # aware
    key: str = ""  # for idempotency
    digest: bytes = b""  # of what is the same when it comes again; b"": of envelope and header


NO_OPTIONS = Options()
