"""The work of a run and its figures: pure functions of the logs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Work:
    """The work that every system gets."""

    messages: int = 10_000
    connections: int = 20
    size: int = 10_240  # octets of a message
    paced_messages: int = 2_000
    rate: float = 100.0  # messages a second, of those
    recipients: int = 1  # of each message


@dataclass(frozen=True, slots=True)
class Sent:
    """One message at the load generator; times are seconds since the epoch."""

    id: str
    submitted: float
    answered: float
    accepted: bool

    @classmethod
    def read(cls, line: str) -> Self:
        """Read a line of the load generator's log."""
        row = line.split("\t")
        return cls(row[3], float(row[0]), float(row[1]), accepted=row[2].startswith("2"))


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message at the sink."""

    id: str
    started: float  # its MAIL command
    at: float  # its final dot
    size: int = 0  # octets

    @classmethod
    def read(cls, line: str) -> Self:
        """Read a line of the sink's log."""
        row = line.split("\t")
        return cls(row[3], float(row[0]), float(row[1]), int(row[4]))


@dataclass(frozen=True, slots=True)
class Phase:
    """Observations while one series of messages passed."""

    sent: Sequence[Sent]
    arrived: Sequence[Arrived]
    others: Sequence[Arrived]  # arrived meanwhile and do not belong to the series
    system_seconds: float  # CPU, until the system was idle again
    sink_seconds: float
    load_seconds: float
    other_seconds: float  # CPU of everything else on the machine
    seconds: float
    peak_octets: int  # 0 at a rate, where it is not sampled


@dataclass(frozen=True, slots=True)
class Figures:
    """One run; rates are of the closed loop, milliseconds as percentiles 50 and 99."""

    accepted_per_second: float
    delivered_per_second: float
    cpu_ms: float  # per message, of the system under test
    load_cpu_ms: float
    sink_cpu_ms: float
    other_cores: float  # how many cores others used meanwhile
    peak_mb: float
    accept_p50: float
    accept_p99: float
    through_p50: float
    through_p99: float
    paced_accept_p50: float
    paced_accept_p99: float
    paced_through_p50: float
    paced_through_p99: float
    paced_cpu_ms: float
    refused: int
    lost: int
    duplicates: int

    @property
    def faultless(self) -> bool:
        """Whether each message was accepted, and arrived once."""
        return not (self.refused or self.lost or self.duplicates)


def figures(closed: Phase, paced: Phase, recipients: int = 1) -> Figures:
    """Both phases in one line."""
    began = min(message.submitted for message in closed.sent)
    accepted = max(message.answered for message in closed.sent) - began
    delivered = max((arrival.at for arrival in closed.arrived), default=began) - began
    in_loop, at_rate = _milliseconds(closed), _milliseconds(paced)
    each = 1000 / len(closed.sent)
    return Figures(
        accepted_per_second=sum(m.accepted for m in closed.sent) / accepted,
        delivered_per_second=len(closed.arrived) / delivered if delivered else 0.0,
        cpu_ms=closed.system_seconds * each,
        load_cpu_ms=closed.load_seconds * each,
        sink_cpu_ms=closed.sink_seconds * each,
        other_cores=closed.other_seconds / closed.seconds,
        peak_mb=closed.peak_octets / 2**20,
        accept_p50=percentile(in_loop[0], 0.5),
        accept_p99=percentile(in_loop[0], 0.99),
        through_p50=percentile(in_loop[1], 0.5),
        through_p99=percentile(in_loop[1], 0.99),
        paced_accept_p50=percentile(at_rate[0], 0.5),
        paced_accept_p99=percentile(at_rate[0], 0.99),
        paced_through_p50=percentile(at_rate[1], 0.5),
        paced_through_p99=percentile(at_rate[1], 0.99),
        paced_cpu_ms=paced.system_seconds * 1000 / len(paced.sent),
        refused=_refused(closed) + _refused(paced),
        lost=_lost(closed, recipients) + _lost(paced, recipients),
        duplicates=_duplicates(closed, recipients) + _duplicates(paced, recipients),
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of *values* that at least *share* of them do not exceed; 0 if there are none."""
    if not values:
        return 0.0
    ranked = sorted(values)
    return ranked[max(-int(-share * len(ranked) // 1) - 1, 0)]


def _milliseconds(phase: Phase) -> tuple[list[float], list[float]]:
    """From submission to the reply, and to the first arrival at the sink."""
    first: dict[str, float] = {}
    for arrival in phase.arrived:
        first[arrival.id] = min(arrival.at, first.get(arrival.id, arrival.at))
    accepted = [message for message in phase.sent if message.accepted]
    return (
        [(m.answered - m.submitted) * 1000 for m in accepted],
        [(first[m.id] - m.submitted) * 1000 for m in accepted if m.id in first],
    )


def _refused(phase: Phase) -> int:
    return sum(not message.accepted for message in phase.sent)


def _lost(phase: Phase, recipients: int) -> int:
    came = Counter(a.id for a in phase.arrived)
    return sum(max(recipients - came[m.id], 0) for m in phase.sent if m.accepted)


def _duplicates(phase: Phase, recipients: int) -> int:
    came = Counter(a.id for a in phase.arrived)
    return sum(max(count - recipients, 0) for count in came.values())
