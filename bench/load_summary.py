"""What a load generator has to tell about its messages."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sent:
    """One message with its reply; times are seconds since the epoch."""

    id: str  # its number, in X-Bench-Id
    lane: int  # its X-Priority; 0 without
    recipient: str
    submitted: float  # time of its first MAIL command, or when it was due
    answered: float
    code: int  # of the final reply; 0 when the connection was lost before it
    tries: int

    @property
    def accepted(self) -> bool:
        """Whether the server took responsibility for it."""
        return 200 <= self.code < 300


def summary(sent: Sequence[Sent]) -> dict[str, object]:
    """Counts, accepted messages a second, and percentiles of the accept latency by lane."""
    accepted = [message for message in sent if message.accepted]
    began = min((message.submitted for message in sent), default=0.0)
    ended = max((message.answered for message in sent), default=0.0)
    return {
        "messages": len(sent),
        "accepted": len(accepted),
        "codes": {str(code): n for code, n in Counter(m.code for m in sent).most_common()},
        "tried_again": sum(message.tries > 1 for message in sent),
        "seconds": round(ended - began, 3),
        "accepted_per_second": round(len(accepted) / (ended - began), 1) if sent else None,
        "latency_ms": {"all": latencies(accepted)}
        | {
            str(lane): latencies([message for message in accepted if message.lane == lane])
            for lane in sorted({message.lane for message in accepted} - {0})
        },
    }


def latencies(sent: Sequence[Sent]) -> dict[str, float]:
    """Percentiles of the time from submission to reply, in milliseconds."""
    times = sorted(message.answered - message.submitted for message in sent)
    if not times:
        return {}
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {
        name: round(times[max(round(share * len(times)) - 1, 0)] * 1000, 2)
        for name, share in shares.items()
    }


def log_line(message: Sent) -> str:
    """A message as the log has it: tab-separated, times with microseconds."""
    return (
        f"{message.submitted:.6f}\t{message.answered:.6f}\t{message.code}\t{message.id}\t"
        f"{message.lane}\t{message.tries}\t{message.recipient}\n"
    )
