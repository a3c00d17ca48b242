"""The only place of ingest that names concrete things."""

import time
from dataclasses import dataclass

from ingest.core.limits import Limits
from ingest.service import IngestService
from ingest.settings import IngestSettings
from posthouse.broker import submissions_queue
from posthouse.broker.hints import Announcer
from posthouse.mail.secret import Purpose, derive
from posthouse.mail.submission import Submission
from posthouse.running.certificate import Certificate
from posthouse.running.identity import new_id
from posthouse.running.program import Backing, Wired
from posthouse.store.accounts import AccountStore
from posthouse.store.submissions import SubmissionStore


@dataclass(frozen=True, slots=True)
class _Intake:
    """Commits, then tells policy, unless it has been told."""

    submissions: SubmissionStore
    announcer: Announcer

    async def accept(self, submission: Submission) -> None:
        """See `ingest.door.Intake`."""
        if await self.submissions.accept(submission):
            self.announcer.announce(submission.lane)


def wire(settings: IngestSettings, behind: Backing) -> Wired:
    """The listeners for clients, and what tells policy. Raises CannotListen."""
    announcer = Announcer(behind.broker, submissions_queue)
    submissions = SubmissionStore(
        behind.database, behind.background, behind.recent, accepted=behind.accepted
    )
    certificate = Certificate.told(settings.ingest_tls_certificate, settings.ingest_tls_key)
    ingest = IngestService(
        settings.ingest_listeners,
        hostname=settings.hostname,
        intake=_Intake(submissions, announcer),
        directory=AccountStore(behind.database),
        pepper=derive(settings.secret_key.get_secret_value(), Purpose.CREDENTIALS),
        certificate=certificate,
        new_id=new_id,
        clock=time.monotonic,
        limits=Limits(
            message_octets=settings.ingest_message_octets,
            connections=settings.ingest_connections,
            connections_per_address=settings.ingest_connections_per_address,
        ),
    )
    ingest.bind()
    return Wired(
        services={
            "ingest": ingest,
            "ingest-announcing": announcer,
            **({"ingest-certificate": certificate} if certificate else {}),
        },
        checks={},
    )
