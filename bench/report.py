"""Results: medians, spread and ratios, as one table of systems and one of scenarios."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.accepted import Accepted, spread
from bench.figures import Figures, Work

from bench import accepted

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
    interpreter: str = ""  # path of that Python; "" where an older file does not say
    optimised: bool = True  # whether that Python was built with profile-guided optimisation


@dataclass(frozen=True, slots=True)
class Origin:
    """When it was measured, at which commit, and by which command."""

    date: str  # ISO 8601, to the second
    commit: str  # "" if it is not known
    command: str
    machine: Machine


@dataclass(frozen=True, slots=True)
class Measured:
    """All runs of one system."""

    name: str
    title: str
    version: str  # of its programs
    runs: tuple[Figures, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """One criterion of a scenario, in one form, over all runs."""

    scenario: str
    form: str
    label: str
    values: tuple[float, ...]
    limit: float | None
    digits: int

    @property
    def holds(self) -> bool | None:
        """Whether the median is within the limit; None if there is no limit."""
        return None if self.limit is None else statistics.median(self.values) <= self.limit


@dataclass(frozen=True, slots=True)
class Results:
    """All results, as they are stored in a file."""

    origin: Origin
    work: Work
    systems: tuple[Measured, ...] = ()
    scenarios: tuple[Found, ...] = ()
    accepted: tuple[Accepted, ...] = ()
    scale: float = 1.0  # of the scenarios; below 1 it was a rehearsal
    not_measured: Mapping[str, str] = field(default_factory=dict)  # title and reason
    failed: tuple[str, ...] = ()  # runs without figures, and why

    def system(self, name: str) -> Measured | None:
        """The runs of one system."""
        return next((system for system in self.systems if system.name == name), None)

    @property
    def faults(self) -> tuple[str, ...]:
        """Runs that failed, or in which a message was refused, lost or doubled."""
        faults = (
            f"{system.title}, run {number}: {run.refused} refused, {run.lost} lost, "
            f"{run.duplicates} duplicates"
            for system in self.systems
            for number, run in enumerate(system.runs, 1)
            if not run.faultless
        )
        return (*self.failed, *faults, *accepted.faults(self.accepted))


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the table of systems."""

    name: str  # of a field of Figures
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


def median(system: Measured, name: str) -> float:
    """Of all runs."""
    return float(statistics.median(getattr(run, name) for run in system.runs))


def ratio(system: Measured, reference: Measured | None, name: str) -> float | None:
    """Ratio of the medians; None if there is nothing to compare with."""
    if reference is None or reference is system:
        return None
    base = median(reference, name)
    return median(system, name) / base if base else None


def table(results: Results) -> list[list[str]]:
    """Head and rows, a column for each system; after the spread the ratio to the reference."""
    systems, reference = results.systems, results.system(REFERENCE)
    rows = [
        [measure.label, *(_cell(system, reference, measure) for system in systems)]
        for measure in measures(results.work)
    ]
    faults = ["refused, lost, duplicates"]
    for system in systems:
        counts = ("refused", "lost", "duplicates")
        faults.append(
            ", ".join(str(sum(getattr(run, count) for run in system.runs)) for count in counts)
        )
    return [["median (lowest-highest)", *(system.title for system in systems)], *rows, faults]


def _cell(system: Measured, reference: Measured | None, measure: Measure) -> str:
    cell = spread([getattr(run, measure.name) for run in system.runs], measure.digits)
    found = ratio(system, reference, measure.name) if measure.compared else None
    return cell if found is None else f"{cell} {found:.2f}x"


def scenario_table(results: Results) -> list[list[str]]:
    """Head and rows, one for each criterion."""
    marks = {None: "", True: "yes", False: "NO"}
    head = ["scenario", "Posthouse as", "median (lowest-highest)", "at most", "holds"]
    return [
        head,
        *(
            [
                found.label,
                found.form,
                spread(found.values, found.digits),
                "" if found.limit is None else f"{found.limit:g}",
                marks[found.holds],
            ]
            for found in results.scenarios
        ),
    ]


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
    """A table in Markdown."""
    marks = ["---", *["---:"] * (len(rows[0]) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (rows[0], marks, *rows[1:]))


def whole(results: Results, form: Callable[[Sequence[Sequence[str]]], str]) -> str:
    """All tables that have rows, and the notes."""
    tables = []
    if results.systems:
        tables.append(form(table(results)))
    if results.accepted:
        tables.append(form(accepted.table(results.accepted)))
    if results.scenarios:
        tables.append(form(scenario_table(results)))
    return "\n\n".join([*tables, *notes(results)])


def notes(results: Results) -> Iterator[str]:
    """What was measured where, and what failed or missed its limit."""
    origin, machine = results.origin, results.origin.machine
    yield f"{origin.date}, commit {origin.commit or 'unknown'}: {origin.command}"
    yield (
        f"{machine.processor}, {machine.cores} cores, {machine.kernel}, {_python(machine)}. "
        f"CPU by {machine.accounting}."
    )
    if not machine.optimised:
        yield (
            "NOT OPTIMISED: this Python was built without profile-guided optimisation. "
            "On a distribution's own Posthouse takes some 8 % less CPU."
        )
    if results.systems:
        yield _what_systems_did(results)
    if results.accepted:
        yield accepted.EXPLAINED
    versions = {system.title: system.version for system in results.systems}
    versions |= {one.title: one.version for one in results.accepted}
    if versions:
        yield "; ".join(f"{title}: {version}" for title, version in versions.items()) + "."
    if (results.scenarios or results.accepted) and results.scale != 1:
        yield f"A REHEARSAL: scenarios and ways in had {results.scale:g} times their numbers."
    for title, why in results.not_measured.items():
        yield f"NOT MEASURED: {title}: {why}"
    for fault in results.faults:
        yield f"FAILED: {fault}"
    for found in results.scenarios:
        if found.holds is False:
            yield (
                f"OVER ITS LIMIT: {found.scenario}, {found.form}: {found.label.lstrip('. ')}: "
                f"{spread(found.values, found.digits)}, at most {found.limit:g}"
            )


def _python(machine: Machine) -> str:
    if not machine.interpreter:
        return f"Python {machine.python}"
    built = "optimised" if machine.optimised else "not optimised"
    return f"Python {machine.python} ({machine.interpreter}, {built})"


def _what_systems_did(results: Results) -> str:
    work = results.work
    runs = max(len(system.runs) for system in results.systems)
    recipients = "one recipient" if work.recipients == 1 else f"{work.recipients} recipients"
    said = (
        f"Systems: {runs} runs, interleaved; in each {work.messages:,} messages of {work.size:,} "
        f"octets, {recipients}, {work.connections} kept connections, DKIM RSA-2048 "
        f"relaxed/relaxed, then {work.paced_messages:,} at {work.rate:g} a second."
    )
    if reference := results.system(REFERENCE):
        said += f" Behind each spread: the ratio to {reference.title} in the same runs."
    return said
