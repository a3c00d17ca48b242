"""A submission: one message as the client submitted it, with its envelope."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any
from uuid import UUID

from posthouse.mail.lane import Lane


@dataclass(frozen=True, slots=True)
class Attributes:
    """Data about a message beside its envelope, mostly from control headers."""

    tags: tuple[str, ...] = ()  # in the order given, each once
    metadata: Mapping[str, Any] = field(default_factory=dict)  # the client's own, values of JSON
    stream: str = ""  # the mailing or list it belongs to
    # Such as "open_tracking"; the profile decides what is not named here.
    flags: Mapping[str, bool] = field(default_factory=dict)
    campaign: str = ""  # groups messages in statistics

    def as_json(self) -> dict[str, Any] | None:
        """The fields that are not empty, as stored; None when all are empty."""
        if self is NO_ATTRIBUTES:
            return None
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name))} or None

    @staticmethod
    def from_json(stored: Mapping[str, Any] | None) -> "Attributes":
        """The opposite of `as_json`; what a newer version added is left out."""
        if stored is None:
            return NO_ATTRIBUTES
        return Attributes(
            tags=tuple(stored.get("tags", ())),
            metadata=stored.get("metadata", {}),
            stream=stored.get("stream", ""),
            flags=stored.get("flags", {}),
            campaign=stored.get("campaign", ""),
        )


NO_ATTRIBUTES = Attributes()


class RecipientKind(StrEnum):
    """Why a recipient gets a copy."""

    TO = "to"
    CC = "cc"
    BCC = "bcc"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class Submission:
    """The record that ingest commits before it answers 250, and policy reads."""

    id: UUID  # UUIDv7: sorts by time of arrival, names the partition; quoted in the 250
    account_id: UUID
    credential_id: UUID
    profile: str
    lane: Lane
    sender: str  # MAIL FROM as given, "" for the null reverse-path
    recipients: tuple[str, ...]  # RCPT TO, in order, each once
    smtputf8: bool  # the client asked for SMTPUTF8 (RFC 6531)
    client: str  # address of the client, for the Received header
    helo: str  # what the client called itself
    tls: str  # TLS version and cipher, "" in clear
    header: bytes  # every field as received, CRLF line ends, with the empty line that ends it
    body: bytes  # what follows, dot-stuffing undone; never re-serialised
    profile_revision: int = 1  # of the profile, at the time of acceptance
    attributes: Attributes = NO_ATTRIBUTES

    @property
    def size(self) -> int:
        """Octets of header and body."""
        return len(self.header) + len(self.body)


@dataclass(frozen=True, slots=True)
class Rendition:
    """A message as recipients get it: a new header over the body as it came.

    One rendition serves every delivery that looks the same, so the signature is made once.
    """

    id: UUID
    submission_id: UUID
    header: bytes  # complete, signed, with the empty line that ends it
    body: bytes | None = None  # None: the submission's own body, unchanged


@dataclass(frozen=True, slots=True)
class Delivery:
    """One recipient of one rendition: what the dispatcher sends and answers for."""

    id: UUID
    submission_id: UUID
    account_id: UUID
    rendition_id: UUID
    lane: Lane
    recipient: str
    return_path: str  # signed, ours; where a DSN comes back to
    kind: RecipientKind = RecipientKind.TO
    site: str = ""  # where it goes, as far as it was known when it was made
