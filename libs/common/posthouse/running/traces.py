"""Traces of messages, from the door to the wire: spans are made of times that are known (0051)."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from importlib.util import find_spec
from typing import Annotated, NamedTuple, Protocol
from uuid import UUID

from pydantic import AfterValidator, Field

from posthouse.running.settings import Settings

_PACKAGES = "opentelemetry.exporter.otlp.proto.http"
# The octets of an id by which OpenTelemetry samples: of a UUIDv7 all of them come from chance.
_CHANCE_BITS = 56


def _with_packages(endpoint: str) -> str:
    if endpoint and not (find_spec("opentelemetry") and find_spec(_PACKAGES)):
        raise ValueError("needs OpenTelemetry, which is not installed: see docs/traces.md")
    return endpoint


_Collector = Annotated[str, Field(pattern=r"^(https?://\S+)?$"), AfterValidator(_with_packages)]


class WithTraces(Settings):
    """For a program that tells what it does to a collector of traces."""

    traces_endpoint: _Collector = ""
    """Collector of OpenTelemetry that traces of messages are sent to, as http://collector:4318:
    OTLP over HTTP, at /v1/traces below it. Its other settings are the variables that OpenTelemetry
    has for them, such as OTEL_EXPORTER_OTLP_HEADERS. Default: no traces. See docs/traces.md."""

    traces_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the messages whose traces are sent; it follows from a message's id, so give the same
    to all processes."""


class SpanName(StrEnum):
    """What is told of a message; each is a part of its one trace."""

    ACCEPT = "accept"  # its root: from DATA, or a request, to the commit
    PREPARE = "prepare"  # by policy, from claim to commit
    DELIVER = "deliver"  # one attempt, from claim to the commit of its result
    RETURN = "return"  # what a report that came back says


class Phase(NamedTuple):
    """A part of a span, in readings of `time.perf_counter`."""

    name: str
    began: float
    ended: float


class MessageSpan(NamedTuple):
    """What was done with a message, when it has been done; never with an address or a text."""

    name: SpanName
    began: float  # readings of `time.perf_counter`
    ended: float
    attributes: Mapping[str, str | int]
    phases: Sequence[Phase] = ()
    error: str = ""  # what went wrong


class Traces(Protocol):
    """Tells a collector what was done with messages; a program without one has none of it."""

    def takes(self, submission: UUID) -> bool:
        """Whether the trace of that message is sent: the same in all processes."""

    def tell(self, submission: UUID, span: MessageSpan, *, caller: str = "") -> None:
        """Send *span* soon; it neither waits nor raises.

        *caller*: the `traceparent` (W3C) of the request that a message came in by.
        """

    async def close(self) -> None:
        """Send what is left, for some seconds at most."""


class TraceSample(NamedTuple):
    """Which messages are traced: the decision is that of OpenTelemetry, by the end of an id."""

    threshold: int

    @classmethod
    def of(cls, ratio: float) -> "TraceSample":
        """One that takes *ratio* of all messages."""
        return cls(round((1 - ratio) * (1 << _CHANCE_BITS)))

    def takes(self, submission: UUID) -> bool:
        """Whether it is one of them."""
        return submission.int & ((1 << _CHANCE_BITS) - 1) >= self.threshold

    def takes_hex(self, submission: str) -> bool:
        """As `takes`, of an id as it is written in logs."""
        return int(submission[-(_CHANCE_BITS // 4) :], 16) >= self.threshold


def sample_of(settings: WithTraces) -> TraceSample | None:
    """Which messages are traced; None: nobody wants any."""
    return TraceSample.of(settings.traces_ratio) if settings.traces_endpoint else None


def traces_of(settings: WithTraces, service: str) -> Traces | None:
    """What *service* tells its traces by; None, and nothing imported, where nobody wants any."""
    sample = sample_of(settings)
    if sample is None:
        return None
    from posthouse.running.otlp_traces import OtlpTraces, otlp_exporter  # noqa: PLC0415 -- optional

    return OtlpTraces(service, sample, otlp_exporter(settings.traces_endpoint))
