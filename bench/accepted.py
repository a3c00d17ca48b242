"""What acceptance alone costs, by way in and system: pure functions of the runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.figures import Sent, percentile

SMTP, RAW, JSON = "smtp", "http", "json"  # names of ways that have a limit
_OURS, _REFERENCE = "posthouse", "postfix"  # ratios are to the second
# Of the CPU of ingest: limits of a message as it is, to that by SMTP, and of one in JSON.
MOST_TIMES, MOST_JSON_MS = 1.5, 2.5
_HEAD = (
    *("way in: system", "messages/s", "CPU ms per message", "times Postfix"),
    *("of it ingest", "p50, ms", "p99, ms"),
)
# Of all of them, under the table.
EXPLAINED = (
    "Ways in: every client logs in with AUTH PLAIN, or a key; a certificate of ECDSA P-256, no "
    "session is resumed; 10 KB, as JSON 12. A 250 of Posthouse is a commit in PostgreSQL; no other "
    "service runs; its CPU has PostgreSQL and RabbitMQ in it. Postfix puts mail in its queue "
    '"hold". aiosmtpd keeps nothing, or flushes a file.'
)


@dataclass(frozen=True, slots=True)
class Run:
    """Messages by one way into one system, once."""

    per_second: float  # from the first submission to the last reply
    cpu_ms: float  # per message, until the system was idle again
    front_cpu_ms: float  # of it in the programs that speak with clients
    p50: float  # milliseconds from submission, with its connection, to the reply
    p99: float
    load_cpu_ms: float
    refused: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """All runs of one way into one system."""

    way: str  # its name, and for people
    label: str
    system: str
    title: str
    version: str  # of its programs
    runs: tuple[Run, ...]

    def median(self, name: str) -> float:
        """Of all runs."""
        return float(median(getattr(run, name) for run in self.runs))


def run_of(sent: Sequence[Sent], cpu: Sequence[float], load: float) -> Run:
    """The figures of a run; *cpu*: seconds of all its messages, first of what speaks with clients.

    *load*: those of the load generator.
    """
    took = [(one.answered - one.submitted) * 1000 for one in sent if one.accepted]
    seconds = max(one.answered for one in sent) - min(one.submitted for one in sent)
    each = 1000 / len(sent)
    return Run(
        per_second=len(took) / seconds,
        cpu_ms=sum(cpu) * each,
        front_cpu_ms=cpu[0] * each,
        p50=percentile(took, 0.5),
        p99=percentile(took, 0.99),
        load_cpu_ms=load * each,
        refused=len(sent) - len(took),
    )


def ours(accepted: Sequence[Accepted]) -> Mapping[str, Accepted]:
    """Those of Posthouse, by their way."""
    return {one.way: one for one in accepted if one.system == _OURS}


def raw_times(accepted: Sequence[Accepted]) -> tuple[float, ...]:
    """CPU of ingest for a message as it is by HTTP, times that by SMTP, in each run."""
    found = ours(accepted)
    if not {SMTP, RAW} <= found.keys():
        return ()
    pairs = zip(found[RAW].runs, found[SMTP].runs, strict=False)  # one may have failed
    return tuple(raw.front_cpu_ms / smtp.front_cpu_ms for raw, smtp in pairs)


def table(accepted: Sequence[Accepted]) -> list[list[str]]:
    """Head and rows, one for each way into each system."""
    references = {one.way: one for one in accepted if one.system == _REFERENCE}
    return [list(_HEAD), *(_row(one, references.get(one.way)) for one in accepted)]


def _row(one: Accepted, reference: Accepted | None) -> list[str]:
    times = ""
    if reference is not None and reference is not one:
        times = f"{one.median('cpu_ms') / reference.median('cpu_ms'):.2f}x"
    return [
        f"{one.label}: {one.title}",
        _cell(one, "per_second", 0),
        _cell(one, "cpu_ms", 2),
        times,
        _cell(one, "front_cpu_ms", 2) if one.system == _OURS else "",
        _cell(one, "p50", 1),
        _cell(one, "p99", 1),
    ]


def _cell(one: Accepted, name: str, digits: int) -> str:
    return spread([getattr(run, name) for run in one.runs], digits)


def spread(values: Sequence[float], digits: int) -> str:
    """The median of *values* and, if there are several, the lowest and the highest."""
    told = f"{median(values):,.{digits}f}"
    if values[1:]:
        told += f" ({min(values):,.{digits}f}-{max(values):,.{digits}f})"
    return told


def faults(accepted: Sequence[Accepted]) -> Iterator[str]:
    """Runs in which a message was refused."""
    for one in accepted:
        for number, run in enumerate(one.runs, 1):
            if run.refused:
                yield f"{one.title}, {one.label}, run {number}: {run.refused} refused"
