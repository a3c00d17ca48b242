"""What traces cost a message of one recipient, off and on: `python -m bench.traces`.

Microseconds of CPU: medians of rounds in which all parts take turns, each less an empty one. Off is
what is left of them in the programs: looking whether there are any, and noting phases for nobody.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

from bench.preparing import measured
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from dispatcher.phases import MAIL, PHASES
from posthouse.running.identity import new_id
from posthouse.running.otlp_traces import OtlpTraces
from posthouse.running.traces import MessageSpan, Phase, SpanName, Traces, TraceSample

_ASKED = 5  # whether there are traces: once by ingest and policy, three times by the dispatcher
_OBSERVED = 2  # phases of a message over a kept connection: mail, data


class _Nowhere(SpanExporter):
    """Takes spans, and sends them to nobody."""

    def export(self, _: object) -> SpanExportResult:
        """They are gone."""
        return SpanExportResult.SUCCESS


class _Program(NamedTuple):
    """Has traces, or none."""

    traces: Traces | None

    def ask(self, _: int) -> bool:
        """As every hook does."""
        return self.traces is not None

    def go_on(self, _: int) -> bool:
        """The same without a hook."""
        return True


def _told(traces: Traces) -> Callable[[int], None]:
    now, about = time.perf_counter(), {"posthouse.lane": "normal", "posthouse.delivery": "0" * 32}
    phases = [Phase(name, now, now) for name in ("wait", "mail", "data", "settle")]
    spans = (
        MessageSpan(SpanName.ACCEPT, now, now, about, phases[:1]),
        MessageSpan(SpanName.PREPARE, now, now, about),
        MessageSpan(SpanName.DELIVER, now, now, about, phases),
    )

    def tell(_: int) -> None:
        submission = new_id()
        for span in spans:
            traces.tell(submission, span)

    return tell


def main() -> None:
    """Measure and print."""
    program, before = _Program(None), PHASES.labels("mail")
    parts: dict[str, Callable[[int], object]] = {
        "nothing": program.go_on,
        "asks whether there are traces": program.ask,
        "observes a phase, without traces in the code": lambda _: before.observe(1.001 - 1.0),
        "observes a phase": lambda _: MAIL.observe(1.0, 1.001),
        "on: tells a message in eight spans": _told(
            OtlpTraces("posthouse", TraceSample.of(1.0), _Nowhere())
        ),
    }
    rounds = measured(parts, after=lambda: None)
    nothing, *others = (median(seen) for seen in rounds.values())
    costs = {name: cost - nothing for name, cost in zip([*parts][1:], others, strict=True)}
    for name, cost in costs.items():
        print(f"{name:48} {cost:8.3f} us")
    asks, before_, now, _ = costs.values()
    print(f"{'off: a message':48} {_ASKED * asks + _OBSERVED * (now - before_):8.3f} us")


if __name__ == "__main__":
    main()
