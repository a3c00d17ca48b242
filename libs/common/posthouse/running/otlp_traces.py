"""Traces by the SDK of OpenTelemetry: the only module that imports it."""

import asyncio
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from uuid import UUID

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from posthouse.running.traces import MessageSpan, SpanName, TraceSample
from posthouse.running.waiting import wait_for_event

_KINDS = {SpanName.ACCEPT: SpanKind.SERVER, SpanName.DELIVER: SpanKind.CLIENT}
_SIXTY_FOUR_BITS = (1 << 64) - 1
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_CLOSING_SECONDS = 3.0


def otlp_exporter(endpoint: str) -> SpanExporter:
    """What sends to the collector at *endpoint*; variables of OpenTelemetry say how."""
    return OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")


class OtlpTraces:
    """See `posthouse.running.traces.Traces`. A thread of the SDK sends; make it after a fork.

    A message's trace has the message's id, and its root the second half of that: so each process
    knows them, and they are neither stored nor sent along.
    """

    def __init__(self, service: str, sample: TraceSample, exporter: SpanExporter) -> None:
        self._sample = sample
        self._ids = _GivenIds()
        about = {
            "service.name": service,
            "service.version": metadata.version("posthouse-common"),
        }
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,  # who calls `tell` has asked `takes`
            resource=Resource.create(about).merge(OTELResourceDetector().detect()),
            shutdown_on_exit=False,
            id_generator=self._ids,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("posthouse")
        self._w3c = TraceContextTextMapPropagator()

    def takes(self, submission: UUID) -> bool:
        """See Traces."""
        return self._sample.takes(submission)

    def tell(self, submission: UUID, span: MessageSpan, *, caller: str = "") -> None:
        """See Traces."""
        root = SpanContext(
            submission.int, submission.int & _SIXTY_FOUR_BITS, is_remote=True, trace_flags=_SAMPLED
        )
        is_root = span.name is SpanName.ACCEPT
        if is_root:
            self._ids.root = root
        now, clock = time.time_ns(), time.perf_counter()

        def moment(reading: float) -> int:
            return now - round((clock - reading) * 1e9)

        made = self._tracer.start_span(
            span.name,
            set_span_in_context(NonRecordingSpan(INVALID_SPAN_CONTEXT if is_root else root)),
            _KINDS.get(span.name, SpanKind.INTERNAL),
            {**span.attributes, "posthouse.submission": submission.hex},
            self._links(caller),
            moment(span.began),
        )
        if span.error:
            made.set_status(Status(StatusCode.ERROR, span.error))
        inside = set_span_in_context(made)
        for phase in span.phases:
            part = self._tracer.start_span(phase.name, inside, start_time=moment(phase.began))
            part.end(moment(phase.ended))
        made.end(moment(span.ended))

    def _links(self, caller: str) -> Sequence[Link]:
        """To the span of the request, which belongs to another trace."""
        if not caller:
            return ()
        told = get_current_span(self._w3c.extract({"traceparent": caller})).get_span_context()
        return (Link(told),) if told.is_valid else ()

    async def close(self) -> None:
        """See Traces. A collector that does not answer holds up no end of a program."""
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def end() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(closed.set)

        threading.Thread(target=end, daemon=True).start()
        await wait_for_event(closed, _CLOSING_SECONDS)


class _GivenIds(IdGenerator):
    """Those of the root that begins next, else chance."""

    def __init__(self) -> None:
        self.root: SpanContext | None = None
        self._chance = RandomIdGenerator()

    def generate_trace_id(self) -> int:
        """The tracer asks for it first, and only where a span is the root of its trace."""
        assert self.root is not None
        return self.root.trace_id

    def generate_span_id(self) -> int:
        """The tracer asks for it next."""
        root, self.root = self.root, None
        return root.span_id if root else self._chance.generate_span_id()

    def is_trace_id_random(self) -> bool:
        """Its last 56 bits are, as W3C asks."""
        return True
