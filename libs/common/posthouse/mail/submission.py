"""A submission: one message as the client submitted it, with its envelope."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from posthouse.mail.dsn_request import DsnRequest
from posthouse.mail.headline import NO_HEADLINE, Headline
from posthouse.mail.lane import Lane
from posthouse.mail.terms import NO_TERMS, Terms

# The credential of messages that no client submitted: notices of ours, whose sender is "".
OWN_CREDENTIAL = UUID(int=0)


class RecipientKind(StrEnum):
    """Why a recipient gets a copy."""

    TO = "to"
    CC = "cc"
    BCC = "bcc"
    ARCHIVE = "archive"


class Discarded(NamedTuple):
    """A recipient that the client named and that gets no copy, and the rule that says so (X06)."""

    address: str
    rule: str


@dataclass(frozen=True, slots=True)
class Attributes:
    """Data about a message beside its addresses, mostly from control headers."""

    tags: tuple[str, ...] = ()  # in the order given, each once
    metadata: Mapping[str, Any] = field(default_factory=dict)  # the client's own, values of JSON
    stream: str = ""  # the mailing or list it belongs to
    # Such as "open_tracking"; the profile decides what is not named here.
    flags: Mapping[str, bool] = field(default_factory=dict)
    campaign: str = ""  # groups messages in statistics
    traffic_source: str = ""  # that links tell the statistics of their site (utm_source)
    # Of recipients, by address, those that get their copy for another reason than To.
    kinds: Mapping[str, RecipientKind] = field(default_factory=dict)
    # Fields of recipients, by name, that copies have in place of those that came; "" for none.
    shown: Mapping[str, str] = field(default_factory=dict)
    # By address of a Bcc recipient, what the Bcc field of its own copy names beside the address.
    bcc_shown: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, str] = field(default_factory=dict)  # such as a DKIM key, by its name
    # What the rules of the profile did beside, for the timeline.
    discarded: tuple[Discarded, ...] = ()
    alerts: tuple[Mapping[str, Any], ...] = ()  # what the account wants to hear of
    notes: tuple[str, ...] = ()
    sandboxed: bool = False  # from the sandbox domain: kept to be read, and not sent to the world
    dsn: DsnRequest | None = None  # the parameters of RFC 3461, None when there are none

    def as_json(self) -> dict[str, Any] | None:
        """The fields that are not empty, as stored; None when all are empty."""
        if self is NO_ATTRIBUTES:
            return None
        stored = {f.name: value for f in fields(self) if (value := getattr(self, f.name))}
        if self.dsn is not None:
            stored["dsn"] = self.dsn.as_json()
        return stored or None

    def dsn_as_json(self) -> dict[str, Any] | None:
        """The parameters of RFC 3461 alone."""
        return None if self.dsn is None else self.dsn.as_json()

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
            traffic_source=stored.get("traffic_source", ""),
            kinds={a: RecipientKind(kind) for a, kind in stored.get("kinds", {}).items()},
            shown=stored.get("shown", {}),
            bcc_shown=stored.get("bcc_shown", {}),
            choices=stored.get("choices", {}),
            discarded=tuple(Discarded(*each) for each in stored.get("discarded", ())),
            alerts=tuple(stored.get("alerts", ())),
            notes=tuple(stored.get("notes", ())),
            sandboxed=stored.get("sandboxed", False),
            dsn=DsnRequest.from_json(stored.get("dsn")),
        )


NO_ATTRIBUTES = Attributes()


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
    terms: Terms = NO_TERMS  # of its acceptance; nothing that is read from the store has any
    headline: Headline = NO_HEADLINE  # that of a message of ours stays empty

    @property
    def size(self) -> int:
        """Octets of header and body."""
        return len(self.header) + len(self.body)

    @property
    def is_ours(self) -> bool:
        """Whether no client submitted it."""
        return self.credential_id == OWN_CREDENTIAL


@dataclass(frozen=True, slots=True)
class Rendition:
    """A message as recipients get it: a new header over the body, mostly as it came.

    One rendition serves every delivery that looks the same, so the signature is made once.
    """

    id: UUID
    submission_id: UUID
    header: bytes  # complete, signed, with the empty line that ends it
    body: bytes | None = None  # None: the submission's own body, unchanged
    # What makes *body* of the submission's own, where it is shorter: `posthouse.mail.body_edits`.
    edits: bytes | None = None

    def row(self) -> tuple[UUID, UUID, bytes, bytes | None, bytes | None]:
        """A rendition_row_2: its edits, or its body."""
        body = self.body if self.edits is None else None
        return self.id, self.submission_id, self.header, body, self.edits


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
