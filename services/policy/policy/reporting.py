"""Counts and logs the result of each submission."""

from collections import Counter
from collections.abc import Callable, Sequence
from time import perf_counter

import prometheus_client
import structlog

from posthouse.mail.events import EventKind
from posthouse.running.traces import MessageSpan, SpanName, Traces
from posthouse.store.submissions import ClaimedSubmission, Prepared

MESSAGES = prometheus_client.Counter(
    "posthouse_policy_messages_total",
    "Submissions that policy has finished with, by outcome; postponed and left ones come again",
    ["outcome"],
)
_PREPARED = MESSAGES.labels("prepared")  # looking it up costs more than counting
SUPPRESSED = prometheus_client.Counter(
    "posthouse_policy_suppressed_recipients_total",
    "Recipients left out because they are on a suppression list of the account",
)

_SECONDS_BETWEEN = 60.0  # log lines about the same unknown profile

log = structlog.get_logger()


class Reporter:
    """One log line for each submission, and one a minute for each unknown profile.

    *began*: when the batch did, as `time.perf_counter` reads.
    """

    def __init__(self, clock: Callable[[], float], traces: Traces | None = None) -> None:
        self._clock = clock
        self._traces = traces
        self._unknown: dict[tuple[str, int], float] = {}  # name and revision, and when logged

    def prepared(self, prepared: Prepared, began: float) -> None:
        """It is committed."""
        _PREPARED.inc()
        fields = _fields(prepared.claimed)
        log.info(EventKind.PREPARED.value, **fields, **prepared.detail)
        for copy in prepared.sandboxed:
            log.info(EventKind.SANDBOXED.value, **fields, **copy.detail())
        for recipient in prepared.suppressed:
            SUPPRESSED.inc()
            log.info(EventKind.SUPPRESSED.value, **fields, **recipient.detail())
        if self._traces is not None:
            self._trace(prepared.claimed, began, len(prepared.deliveries))

    def quarantined(self, claimed: ClaimedSubmission, reason: str, began: float) -> None:
        """It is quarantined with the *reason*."""
        MESSAGES.labels(EventKind.QUARANTINED.value).inc()
        fields = _fields(claimed)
        log.warning(EventKind.QUARANTINED.value, **fields, reason=reason, claims=claimed.claims)
        if self._traces is not None:
            self._trace(claimed, began, error="quarantined")

    def postponed(self, claimed: ClaimedSubmission, reason: str, began: float) -> None:
        """It comes due again when its lease runs out."""
        MESSAGES.labels("postponed").inc()
        log.warning("postponed", **_fields(claimed), reason=reason, claims=claimed.claims)
        if self._traces is not None:
            self._trace(claimed, began, error="postponed")

    def _trace(
        self, claimed: ClaimedSubmission, began: float, deliveries: int = 0, error: str = ""
    ) -> None:
        submission = claimed.submission
        if self._traces is None or not self._traces.takes(submission.id):
            return
        about: dict[str, str | int] = {
            "posthouse.lane": submission.lane.label,
            "posthouse.claims": claimed.claims,
            "posthouse.deliveries": deliveries,
        }
        span = MessageSpan(SpanName.PREPARE, began, perf_counter(), about, error=error)
        self._traces.tell(submission.id, span)

    def left(self, unknown: Sequence[ClaimedSubmission]) -> None:
        """They are left to a newer worker, which knows their profiles."""
        MESSAGES.labels("left").inc(len(unknown))
        now = self._clock()
        self._unknown = {
            key: when for key, when in self._unknown.items() if now < when + _SECONDS_BETWEEN
        }
        profiles = Counter((c.submission.profile, c.submission.profile_revision) for c in unknown)
        for (name, revision), count in profiles.items():
            if (name, revision) not in self._unknown:
                self._unknown[name, revision] = now
                log.warning("profile_unknown", profile=name, revision=revision, submissions=count)


def _fields(claimed: ClaimedSubmission) -> dict[str, str]:
    submission = claimed.submission
    return {
        "submission": submission.id.hex,
        "account": submission.account_id.hex,
        "lane": submission.lane.label,
    }
