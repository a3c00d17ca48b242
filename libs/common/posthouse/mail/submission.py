"""A submission: one message as the client handed it in, with its envelope."""

from dataclasses import dataclass
from uuid import UUID

from posthouse.mail.lane import Lane


@dataclass(frozen=True, slots=True)
class Submission:
    """What ingest commits before it answers 250, and policy reads."""

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
