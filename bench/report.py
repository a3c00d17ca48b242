"""Results of a comparison: medians, spread and ratios, as one table."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.figures import Figures, Work

OURS = frozenset({"onebox", "split"})
REFERENCE = "postfix"  # what ratios are to


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured."""

    processor: str
    cores: int
    kernel: str
    python: str
    accounting: str  # how CPU was counted


@dataclass(frozen=True, slots=True)
class Measured:
    """All runs of one system."""

    name: str
    title: str
    runs: tuple[Figures, ...]


@dataclass(frozen=True, slots=True)
class Results:
    """One comparison, as it is kept in a file."""

    date: str  # ISO 8601, to the second
    machine: Machine
    work: Work
    systems: tuple[Measured, ...]
    not_measured: Mapping[str, str]  # title and reason
    failed: tuple[str, ...] = ()  # runs that came to no figures, and why

    def system(self, name: str) -> Measured | None:
        """The runs of one system."""
        return next((system for system in self.systems if system.name == name), None)

    @property
    def faults(self) -> tuple[str, ...]:
        """Runs that failed, or in which a message was refused, lost or doubled."""
        return self.failed + tuple(
            f"{system.title}, run {number}: {run.refused} refused, {run.lost} lost, "
            f"{run.duplicates} duplicates"
            for system in self.systems
            for number, run in enumerate(system.runs, 1)
            if not run.faultless
        )


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the table."""

    field: str  # of Figures
    label: str
    digits: int = 1
    compared: bool = True


def measures(work: Work) -> tuple[Measure, ...]:
    """The rows, in order."""
    pace = f"at {work.rate:g}/s"
    return (
        Measure("accepted_per_second", "accepted, messages/s", 0),
        Measure("delivered_per_second", "delivered, messages/s", 0),
        Measure("cpu_ms", "CPU ms per message", 2),
        Measure("peak_mb", "peak memory (PSS), MB", 0),
        Measure("accept_p50", "accept p50, ms"),
        Measure("accept_p99", "accept p99, ms"),
        Measure("through_p50", "end to end p50, ms"),
        Measure("through_p99", "end to end p99, ms"),
        Measure("paced_accept_p50", f"accept p50 {pace}, ms"),
        Measure("paced_accept_p99", f"accept p99 {pace}, ms"),
        Measure("paced_through_p50", f"end to end p50 {pace}, ms"),
        Measure("paced_through_p99", f"end to end p99 {pace}, ms"),
        Measure("paced_cpu_ms", f"CPU ms per message {pace}", 2),
        Measure("load_cpu_ms", "CPU of the load generator, ms", 3, compared=False),
        Measure("sink_cpu_ms", "CPU of the sink, ms", 3, compared=False),
        Measure("other_cores", "cores busy with other things", 2, compared=False),
    )


def median(system: Measured, field: str) -> float:
    """Of all runs."""
    return float(statistics.median(getattr(run, field) for run in system.runs))


def ratio(system: Measured, reference: Measured | None, field: str) -> float | None:
    """Median to median; None where there is nothing to compare with."""
    if reference is None or reference is system:
        return None
    base = median(reference, field)
    return median(system, field) / base if base else None


def table(results: Results) -> list[list[str]]:
    """Head and rows; each system has a column of figures and one of ratios, but the reference."""
    reference = results.system(REFERENCE)
    head = ["median (lowest-highest)"]
    for system in results.systems:
        head += [system.title, *(["ratio"] if _is_compared(system, reference) else [])]
    rows = [
        [measure.label, *_cells(results.systems, reference, measure)]
        for measure in measures(results.work)
    ]
    counts = ("refused", "lost", "duplicates")
    total = ["refused, lost, duplicates"]
    for system in results.systems:
        sums = (sum(getattr(run, count) for run in system.runs) for count in counts)
        total += [", ".join(map(str, sums)), *([""] if _is_compared(system, reference) else [])]
    return [head, *rows, total]


def _cells(
    systems: Sequence[Measured], reference: Measured | None, measure: Measure
) -> Iterator[str]:
    for system in systems:
        values = [getattr(run, measure.field) for run in system.runs]
        digits = measure.digits
        spread = f" ({min(values):,.{digits}f}-{max(values):,.{digits}f})" if values[1:] else ""
        yield f"{statistics.median(values):,.{digits}f}{spread}"
        if _is_compared(system, reference):
            found = ratio(system, reference, measure.field) if measure.compared else None
            yield "" if found is None else f"{found:.2f}"


def _is_compared(system: Measured, reference: Measured | None) -> bool:
    return reference is not None and system is not reference


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """Columns side by side, figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    marks = ["---", *["---:"] * (len(rows[0]) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (rows[0], marks, *rows[1:]))


def notes(results: Results) -> str:
    """What was done where, and what is wrong with it."""
    work, machine = results.work, results.machine
    runs = max((len(system.runs) for system in results.systems), default=0)
    what = (
        f"{results.date}. Runs: {runs}, interleaved; in each {work.messages:,} messages of "
        f"{work.size:,} octets, one recipient, {work.connections} kept connections, DKIM "
        f"RSA-2048 relaxed/relaxed, then {work.paced_messages:,} at {work.rate:g} a second."
    )
    where = (
        f"{machine.processor}, {machine.cores} cores, {machine.kernel}, Python {machine.python}. "
        f"CPU by {machine.accounting}."
    )
    if reference := results.system(REFERENCE):
        where += f" Ratios are to {reference.title} in the same runs."
    missing = (f"NOT MEASURED: {title}: {why}" for title, why in results.not_measured.items())
    failed = (f"FAILED: {fault}" for fault in results.faults)
    return "\n\n".join([what, where, *missing, *failed])
