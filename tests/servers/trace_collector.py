"""A collector of traces: takes OTLP over HTTP, as it is on the wire."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import UUID

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True, slots=True)
class CollectedSpan:
    """One span, as it came."""

    service: str
    name: str
    trace: UUID
    id: bytes
    parent: bytes  # empty of a root
    began: int  # nanoseconds since 1970
    ended: int
    about: Mapping[str, str]
    links: tuple[str, ...]  # the traces that they lead to
    failed: str  # why, "" if it did not


class TraceCollector:
    """What came so far."""

    def __init__(self) -> None:
        self.spans: list[CollectedSpan] = []
        self.paths: set[str] = set()
        self.url = ""

    def of(self, trace: UUID) -> Sequence[CollectedSpan]:
        """The spans of one trace, in the order in which they began."""
        return sorted(
            (s for s in self.spans if s.trace == trace), key=lambda s: (s.began, -s.ended)
        )

    def take(self, path: str, body: bytes) -> None:
        """A request came in."""
        self.paths.add(path)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += (_collected(named["service.name"], span) for span in scope.spans)


def _collected(service: str, span: Span) -> CollectedSpan:
    return CollectedSpan(
        service,
        span.name,
        UUID(bytes=span.trace_id),
        span.span_id,
        span.parent_span_id,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        {a.key: a.value.string_value or str(a.value.int_value) for a in span.attributes},
        tuple(link.trace_id.hex() for link in span.links),
        span.status.message,
    )


@contextmanager
def trace_collector() -> Iterator[TraceCollector]:
    """One that listens on this machine."""
    collector = TraceCollector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.path, self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield collector
        finally:
            server.shutdown()
            serving.join()
