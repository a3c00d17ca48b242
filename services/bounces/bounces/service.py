"""Returned mail: which delivery it belongs to, what it says, and what we record."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import date
from enum import StrEnum
from typing import Any, Protocol, assert_never
from uuid import UUID

import structlog
from prometheus_client import Counter

from bounces.core.reading import read
from bounces.core.report import RecipientStatus, Report, ReportKind
from bounces.core.verdict import RULES, Ignore, Note, Suppress, Verdict, decide
from posthouse.mail.address_failure import AddressFailure, AgainstAddress, FailureWeight
from posthouse.mail.events import Event, EventKind
from posthouse.mail.return_path import InvalidReturnPath, verify
from posthouse.mail.submission import Delivery

log = structlog.get_logger()

RETURNS = Counter(
    "posthouse_returns_total",
    "Returned messages taken, by their kind and the result (suppressed, noted, ignored, repeated)",
    ["kind", "verdict"],
)
REFUSED = Counter(
    "posthouse_returns_refused_total",
    "Returned messages refused at the bounce port, by reason",
    ["reason"],
)

# A larger message is parsed in a thread, so that other connections go on, and not for longer.
_MOST_OCTETS_ON_THE_LOOP = 1 << 16
_MOST_PARSING_SECONDS = 1.0


class Returns(Protocol):
    """What this service asks of the store. Both methods raise StoreUnavailable or StoreRefused."""

    async def find(self, delivery_id: UUID) -> Delivery | None:
        """The delivery with that id; None if there is none, or none any longer."""

    async def record(
        self, event: Event, delivery: Delivery, against: AgainstAddress | None = None
    ) -> bool:
        """Commit *event* of *delivery*, and what it says *against* its recipient; True if new.

        Both are written in one transaction. One event is kept for each delivery and kind. A second
        one writes nothing and gives False: an entry that was removed by hand does not come back
        when a report is replayed.
        """


class NotOurs(StrEnum):
    """Why an address is not a return path of ours."""

    INVALID = "invalid"  # not signed by us, or more than 14 days ago
    UNKNOWN = "unknown"  # signed by us, but there is no such delivery any longer
    FOREIGN = "foreign"  # signed by us, for another host


class Bounces:
    """Finds the delivery that a returned message belongs to, and records what it means."""

    def __init__(self, returns: Returns, keys: Sequence[bytes], today: Callable[[], date]) -> None:
        self._returns = returns
        self._keys = tuple(keys)
        self._today = today

    async def owner(self, address: str) -> Delivery | NotOurs:
        """The delivery whose return path *address* is.

        The whole address must be the one that was signed, so only hosts are accepted that we
        signed for.
        """
        local_part = address.rpartition("@")[0]
        try:
            delivery_id = verify(local_part, self._keys, self._today())
        except InvalidReturnPath:
            return NotOurs.INVALID
        delivery = await self._returns.find(delivery_id)
        if delivery is None:
            return NotOurs.UNKNOWN
        if delivery.return_path.lower() != address.lower():
            return NotOurs.FOREIGN
        return delivery

    async def take(self, delivery: Delivery, content: bytes, client: str) -> None:
        """Read *content*, which the IP address *client* sent to the return path of *delivery*.

        Returns when the result is committed.
        """
        report, verdict = await _report_and_verdict(content, delivery)
        event = _event(delivery, report, verdict, client)
        new = event is not None and await self._returns.record(
            event, delivery, _against(report, verdict) if isinstance(verdict, Suppress) else None
        )

        result = "repeated" if event is not None and not new else _word(verdict)
        RETURNS.labels(kind=report.kind, verdict=result).inc()
        log.info(
            "return_taken",
            delivery=delivery.id.hex,
            submission=delivery.submission_id.hex,
            account=delivery.account_id.hex,
            recipient=delivery.recipient,
            kind=str(report.kind),
            verdict=result,
            rule=verdict.rule,
            client=client,
        )


async def _report_and_verdict(content: bytes, delivery: Delivery) -> tuple[Report, Verdict]:
    if len(content) <= _MOST_OCTETS_ON_THE_LOOP:
        return _read_and_decide(content, delivery)
    try:
        async with asyncio.timeout(_MOST_PARSING_SECONDS):
            return await asyncio.to_thread(_read_and_decide, content, delivery)
    except TimeoutError:
        report = Report(ReportKind.UNRECOGNISED)
        return report, decide(report, delivery)


def _read_and_decide(content: bytes, delivery: Delivery) -> tuple[Report, Verdict]:
    report = read(content)
    return report, decide(report, delivery)


def _event(delivery: Delivery, report: Report, verdict: Verdict, client: str) -> Event | None:
    match verdict:
        case Suppress():
            kind, about = EventKind.BOUNCED, _evidence(verdict.status)
        case Note():
            kind = verdict.kind
            about = _evidence(verdict.status) | {"scope": verdict.scope, "excerpt": report.excerpt}
        case Ignore():
            return None
        case _:
            assert_never(verdict)
    detail = about | {
        "source": report.kind,
        "rule": verdict.rule,
        "rules": RULES,
        "reporting_mta": report.reporting_mta,
        "subject": report.subject,
        "client": client,
    }
    return Event(
        kind=kind,
        account_id=delivery.account_id,
        submission_id=delivery.submission_id,
        delivery_id=delivery.id,
        detail={name: value for name, value in detail.items() if value},
    )


def _evidence(status: RecipientStatus | None) -> dict[str, Any]:
    if status is None:
        return {}
    return {
        "action": status.action,
        "status": status.status,
        "diagnostic": status.diagnostic,
        "final_recipient": status.final_recipient,
        "original_recipient": status.original_recipient,
        "remote_mta": status.remote_mta,
    }


def _against(report: Report, verdict: Suppress) -> AddressFailure:
    status = verdict.status
    return AddressFailure(
        FailureWeight.HARD,
        kind="no such mailbox",
        answer=status.diagnostic,
        stage="report",
        enhanced=(status.status,) if status.status else (),
        rule=verdict.rule,
        rules=str(RULES),
        source={"reporting_mta": report.reporting_mta, "remote_mta": status.remote_mta},
    )


def _word(verdict: Verdict) -> str:
    match verdict:
        case Suppress():
            return "suppressed"
        case Note():
            return "noted"
        case Ignore():
            return "ignored"
        case _:
            assert_never(verdict)
