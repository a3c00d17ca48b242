"""Spans of messages: their ids, times and links; which are sent; and what holds nobody up."""

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from posthouse.running.identity import new_id
from posthouse.running.otlp_traces import OtlpTraces, otlp_exporter
from posthouse.running.settings import SettingsError, load
from posthouse.running.traces import (
    MessageSpan,
    Phase,
    SpanName,
    TraceSample,
    WithTraces,
    sample_of,
    traces_of,
)
from servers.ports import lasting_ports

ALL = TraceSample.of(1.0)
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


@pytest_asyncio.fixture
async def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest_asyncio.fixture
async def traces(exporter: InMemorySpanExporter) -> AsyncIterator[OtlpTraces]:
    made = OtlpTraces("posthouse-tests", ALL, exporter)
    yield made
    await made.close()


async def told(traces: OtlpTraces, exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    await traces.close()
    return {span.name: span for span in exporter.get_finished_spans()}


def accepted(ended: float) -> MessageSpan:
    phases = (Phase("commit", ended - 0.5, ended),)
    return MessageSpan(SpanName.ACCEPT, ended - 2.0, ended, {"posthouse.octets": 7}, phases)


async def test_each_process_knows_the_ids_of_trace_and_root_by_the_id_of_the_message(
    traces: OtlpTraces, exporter: InMemorySpanExporter
) -> None:
    submission, now = new_id(), time.perf_counter()
    traces.tell(submission, MessageSpan(SpanName.PREPARE, now, now, {}))  # may come first
    traces.tell(submission, accepted(now))
    traces.tell(submission, MessageSpan(SpanName.DELIVER, now, now, {}, error="bounced"))
    spans = await told(traces, exporter)
    root = spans["accept"]
    assert (root.parent, root.kind) == (None, SpanKind.SERVER)
    assert root.context.span_id == int(submission.hex[16:], 16)
    assert {submission.int} == {span.context.trace_id for span in spans.values()}
    parents = {name: span.parent.span_id for name, span in spans.items() if span.parent}
    assert parents == dict.fromkeys(("commit", "prepare", "deliver"), root.context.span_id)
    assert spans["deliver"].status.status_code is StatusCode.ERROR
    assert spans["prepare"].status.status_code is StatusCode.UNSET


async def test_times_are_those_of_the_wall_and_durations_those_of_the_clock_that_never_jumps(
    traces: OtlpTraces, exporter: InMemorySpanExporter
) -> None:
    traces.tell(new_id(), accepted(time.perf_counter()))
    spans = await told(traces, exporter)
    root, commit = spans["accept"], spans["commit"]
    assert root.start_time is not None
    assert root.end_time is not None
    assert commit.start_time is not None
    assert root.end_time - root.start_time == pytest.approx(2e9, abs=1_000)
    assert root.end_time - commit.start_time == pytest.approx(0.5e9, abs=1_000)
    assert abs(root.end_time - time.time_ns()) < 60e9


@pytest.mark.parametrize(
    ("caller", "linked"),
    [
        (CALLER, [0x0AF7651916CD43DD8448EB211C80319C]),
        ("", []),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-00", []),
        ("nonsense, \xff" * 40, []),
    ],
)
async def test_a_message_is_linked_to_what_its_client_was_doing(
    traces: OtlpTraces, exporter: InMemorySpanExporter, caller: str, linked: list[int]
) -> None:
    """It keeps its own trace: the client's would have to be carried along to all services."""
    traces.tell(new_id(), accepted(time.perf_counter()), caller=caller)
    root = (await told(traces, exporter))["accept"]
    assert linked == [link.context.trace_id for link in root.links]


@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.5, 1.0])
def test_the_share_that_is_asked_for_is_taken_and_logs_say_the_same(ratio: float) -> None:
    """The usual sampler looks at the first bits of the half that names the kind of a UUID."""
    sample, ids = TraceSample.of(ratio), [UUID(int=new_id().int) for _ in range(20_000)]
    taken = [sample.takes(id_) for id_ in ids]
    assert taken == [sample.takes_hex(id_.hex) for id_ in ids]
    assert sum(taken) == pytest.approx(ratio * len(ids), abs=6 * (len(ids) / 4) ** 0.5)
    more = TraceSample.of(min(1.0, ratio + 0.2))
    assert all(more.takes(id_) for id_, is_taken in zip(ids, taken, strict=True) if is_taken)


async def test_a_collector_that_is_away_holds_up_neither_mail_nor_the_end() -> None:
    (nobody,) = lasting_ports(1)
    traces = OtlpTraces("posthouse-tests", ALL, otlp_exporter(f"http://127.0.0.1:{nobody}"))
    traces.tell(new_id(), accepted(time.perf_counter()))
    async with asyncio.timeout(30.0):
        await traces.close()


def test_without_an_endpoint_there_are_none() -> None:
    settings = load(WithTraces, {"POSTHOUSE_TRACES_ENDPOINT": ""})
    assert sample_of(settings) is None
    assert traces_of(settings, "posthouse-tests") is None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"POSTHOUSE_TRACES_ENDPOINT": "collector:4317"}, "'collector:4317'"),
        ({"POSTHOUSE_TRACES_RATIO": "1.5"}, "POSTHOUSE_TRACES_RATIO is '1.5': should be less than"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load(WithTraces, settings)


def test_what_is_not_installed_is_said_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("posthouse.running.traces.find_spec", lambda _: None)
    with pytest.raises(SettingsError, match=r"is 'http://c:4318': needs OpenTelemetry, which is"):
        load(WithTraces, {"POSTHOUSE_TRACES_ENDPOINT": "http://c:4318"})
