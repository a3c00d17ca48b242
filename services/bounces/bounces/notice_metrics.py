"""What is counted and logged of messages of ours."""

import structlog
from prometheus_client import Counter

from posthouse.mail.events import EventKind
from posthouse.mail.submission import Submission

log = structlog.get_logger()

NOTICES = Counter(
    "posthouse_notices_total",
    "Messages of ours that were accepted, by what they are",
    ["means"],
)
PUT_OFF = Counter(
    "posthouse_notices_put_off_total",
    "Messages of ours that could not be made or kept, and are tried again a minute later.",
    ["means"],
)


def report(notice: Submission, means: str, **about: object) -> None:
    """Log and count *notice*."""
    NOTICES.labels(means=means).inc()
    log.info(
        EventKind.NOTIFIED.value,
        account=notice.account_id.hex,
        means=means,
        recipient=notice.recipients[0],
        notice=notice.id.hex,
        **about,
    )
