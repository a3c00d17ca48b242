"""One trace of each message from the door to the wire, as a collector of OpenTelemetry sees it."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import aiosmtplib
import pytest
from bench.load import Load, Plan
from bench.sink import Sink

from chaos.program import POSTHOUSE
from chaos.relay import SENDER_DOMAIN, Split
from posthouse.running.traces import TraceSample
from servers.patience import eventually
from servers.rabbitmq import RabbitServer
from servers.shared_relay import shared_relay
from servers.trace_collector import CollectedSpan, TraceCollector, trace_collector

MESSAGES = 24
CALLER = "0af7651916cd43dd8448eb211c80319c"
SETTINGS = {"OTEL_BSP_SCHEDULE_DELAY": "50"}  # a span is sent so many milliseconds after it ended
_REPORT = """\
From: mailer-daemon@mx.example
Subject: Undelivered Mail
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="=b"

--=b

It was not delivered.
--=b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; ann@dest.example
Action: failed
Status: 5.1.1

--=b--
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that PostgreSQL, which is another user, may look into."""
    tmp_path.chmod(0o711)
    return tmp_path


async def spans(
    collector: TraceCollector, trace: UUID, names: Sequence[str]
) -> dict[str, CollectedSpan]:
    """The spans of a trace by name, when those of *names* are there; each is there once."""

    async def all_there() -> bool:
        return {span.name for span in collector.of(trace)} >= set(names)

    await eventually(all_there)
    found = collector.of(trace)
    assert len(found) == len({span.name for span in found})
    return {span.name: span for span in found}


def are_in_order(*readings: int) -> bool:
    return list(readings) == sorted(readings)


async def test_a_trace_is_whole_from_the_request_to_the_report(folder: Path) -> None:
    """Its id is the message's; what a phase took lies within what it is a part of."""
    with trace_collector() as collector:
        modes = ("opportunistic", "http")
        settings = {"POSTHOUSE_TRACES_ENDPOINT": collector.url, **SETTINGS}
        async with shared_relay(folder, modes, None, **settings) as relay:
            await relay.command("account", "create", "own")
            await relay.domain("own", "own.example")
            login = await relay.login("own", "native", "--permission", "http")
            submission = await _posted(relay.ports["http"], f"{login.username}.{login.secret}")
            await spans(collector, submission, ("deliver",))
            arrival = relay.sink.arrivals[-1]
            at = {"hostname": relay.bounces.host, "port": relay.bounces.port, "start_tls": False}
            async with aiosmtplib.SMTP(**at) as client:  # type: ignore[arg-type]
                text = _REPORT.replace("\n", "\r\n").encode()
                await client.sendmail("", [arrival.sender], text)
            phases = ("wait", "dns", "connect", "opening", "mail", "data", "settle")
            found = await spans(
                collector, submission, ("accept", "commit", "prepare", "deliver", *phases, "return")
            )

    assert collector.paths == {"/v1/traces"}
    root, prepare, deliver = (found[name] for name in ("accept", "prepare", "deliver"))
    assert (root.parent, root.links) == (b"", (CALLER,))
    assert {root.id} == {found[name].parent for name in ("commit", "prepare", "deliver", "return")}
    assert {deliver.id} == {found[name].parent for name in phases}
    assert {"posthouse"} == {span.service for span in found.values()}
    for whole, parts in (root, ("commit",)), (deliver, phases):
        for part in (found[name] for name in parts):
            assert are_in_order(whole.began, part.began, part.ended, whole.ended), part
    assert are_in_order(root.ended, found["return"].began)
    assert are_in_order(root.began, prepare.began, prepare.ended, deliver.ended)
    assert are_in_order(*(found[name].began for name in phases))
    assert found["return"].about["posthouse.result"] == "suppressed"
    assert deliver.about["posthouse.result"] == "delivered"
    assert deliver.about["posthouse.reply"].startswith("250")
    assert not [s for s in found.values() if "@" in "".join(s.about.values())]


async def _posted(port: int, key: str) -> UUID:
    """Submit a message by HTTP, as a client that has a trace of its own; its id."""
    told = {"from": "jo@own.example", "to": "ann@dest.example", "subject": "s", "text": "t"}
    body = json.dumps(told)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"POST /v1/messages HTTP/1.1\r\nHost: relay.example\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"traceparent: 00-{CALLER}-b7ad6b7169203331-01\r\nConnection: close\r\n\r\n{body}".encode()
    )
    answer = (await reader.read()).decode()
    writer.close()
    assert " 202 " in answer.splitlines()[0], answer
    return UUID(json.loads(answer.partition("\r\n\r\n")[2])["id"])


@pytest.mark.rabbitmq
async def test_separate_programs_agree_which_messages_are_traced(
    rabbitmq_server: RabbitServer, folder: Path
) -> None:
    """Half of all, each whole, and only those have an id in the logs; nothing where it is off."""

    def imports_of(service: str) -> Sequence[str | Path]:
        return (sys.executable, "-X", "importtime", POSTHOUSE, service)

    with trace_collector() as collector:
        relay = Split(
            folder,
            rabbitmq_server.url,
            None,
            dispatchers=1,
            settings={
                "POSTHOUSE_TRACES_ENDPOINT": collector.url,
                "POSTHOUSE_TRACES_RATIO": "0.5",
                "POSTHOUSE_LOG_LEVEL": "info",
                **SETTINGS,
            },
            settings_of={"bounces": {"POSTHOUSE_TRACES_ENDPOINT": ""}},
            commands={name: imports_of(name) for name in ("ingest", "bounces")},
        )
        async with Sink(port=relay.sink_port):
            try:
                await relay.start()
                plan = Plan(relay.doors[0], MESSAGES, 2, sender=f"news@{SENDER_DOMAIN}")
                assert MESSAGES == sum(one.accepted for one in await Load(plan).run())
                await eventually(lambda: _are_delivered(folder), within=6.0)
                for program in relay.programs.values():
                    await program.stop()  # which sends what it has not sent yet
            finally:
                await relay.close()

    lines = _lines(folder / "dispatcher 1.log")
    ids = {UUID(line["submission"]) for line in lines if line["event"] == "delivered"}
    sample = TraceSample.of(0.5)
    assert {span.trace for span in collector.spans} == {id_ for id_ in ids if sample.takes(id_)}
    for trace in {span.trace for span in collector.spans}:
        whole = {span.name: span.service for span in collector.of(trace)}
        assert [whole[name] for name in ("accept", "prepare", "deliver")] == [
            f"posthouse-{service}" for service in ("ingest", "policy", "dispatcher")
        ]
    for line in (line for line in lines if "submission" in line):
        taken = sample.takes(UUID(line["submission"]))
        assert line.get("trace_id") == (line["submission"] if taken else None)
    assert "opentelemetry" in (folder / "ingest.log").read_text()
    assert "posthouse.running.traces" in (folder / "bounces.log").read_text()
    assert "opentelemetry" not in (folder / "bounces.log").read_text()


def _lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


async def _are_delivered(folder: Path) -> bool:
    told = [line["event"] for line in _lines(folder / "dispatcher 1.log")]
    return told.count("delivered") == MESSAGES
