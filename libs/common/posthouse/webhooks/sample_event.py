"""An event that did not happen, for trying an endpoint."""

from datetime import datetime
from uuid import UUID

from posthouse.webhooks.occurrence import Occurrence


def sample(id_: UUID, account: str, at: datetime) -> Occurrence:
    """A bounce of mail that never was, which every dialect tells; its tag says what it is."""
    return Occurrence(
        id=id_,
        kind="bounced",
        at=at,
        sequence=1,
        account=account,
        submission_id=id_,
        delivery_id=id_,
        recipient="nobody@recipient.example",
        recipients=("nobody@recipient.example",),
        sender="nobody@sender.example",
        subject="A test of this endpoint",
        tags=("webhook-test",),
        detail={
            "code": 550,
            "enhanced": "5.1.1",
            "reply": "this is a test, and no mail was sent",
            "host": "mx.recipient.example",
            "class": "no such mailbox",
        },
    )
