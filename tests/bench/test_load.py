"""The load generator: sends what the plan says, times it, and counts honestly."""

import asyncio
import json
import re
import ssl
import sys
from collections import Counter
from email import message_from_bytes
from pathlib import Path

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from bench.chain import certificate
from bench.load import Load, Plan, lanes
from bench.load_http import Form
from bench.load_session import CannotConnect, Door, any_certificate
from bench.load_summary import Sent, latencies, summary
from bench.observing import load_command
from bench.open_store import open_door
from bench.sink import Sink
from bench.sink_session import Manners, Refusal

from ingest.session_context import Limits
from servers.patience import until


def door(sink: Sink) -> Door:
    return Door(sink.host, sink.port)


@pytest.mark.parametrize("pipelining", [True, False])
async def test_every_message_arrives_once_with_its_number(pipelining: bool) -> None:
    async with Sink(Manners(keep=True)) as sink:
        plan = Plan(door(sink), messages=100, connections=7, size=2000, pipelining=pipelining)
        sent = await Load(plan).run()
        assert {message.id for message in sent} == {str(number) for number in range(100)}
        assert Counter(arrival.id for arrival in sink.arrivals) == Counter(m.id for m in sent)
        assert all(message.accepted and message.tries == 1 for message in sent)
        assert all(message.submitted <= message.answered for message in sent)
        assert sink.connections == 7

        arrival = next(arrival for arrival in sink.arrivals if arrival.id == "42")
        assert arrival.recipients == ("user42@dest.example",)
        assert 1900 < arrival.size < 2100
        message = message_from_bytes(arrival.content)
        assert set(message.keys()) == {"From", "To", "Subject", "Date", "Message-ID", "X-Bench-Id"}


async def test_lanes_are_mixed_by_weight() -> None:
    async with Sink(Manners(keep=True)) as sink:
        plan = Plan(door(sink), messages=400, size=500, lanes=lanes("1=1,5=3"), first=1000)
        sent = await Load(plan).run()
        mix = Counter(message.lane for message in sent)
        assert set(mix) == {1, 5}
        assert 60 < mix[1] < 140
        by_id = {message.id: message.lane for message in sent}
        for arrival in sink.arrivals:
            found = re.search(rb"X-Priority: (\d)", arrival.content)
            assert found
            assert by_id[arrival.id] == int(found[1])
        assert min(map(int, by_id)) == 1000


async def test_a_message_may_have_many_recipients() -> None:
    async with Sink() as sink:
        await Load(Plan(door(sink), messages=2, connections=1, size=500, recipients=3)).run()
        assert [
            ("user0@dest.example", "1.user0@dest.example", "2.user0@dest.example"),
            ("user1@dest.example", "1.user1@dest.example", "2.user1@dest.example"),
        ] == [arrival.recipients for arrival in sink.arrivals]


async def test_commands_go_one_by_one_to_who_offers_no_pipelining() -> None:
    """OpenSMTPD answers 500 to commands that came together."""
    together = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal together
        writer.write(b"220 x\r\n")
        while octets := await reader.read(1 << 20):
            together += octets.count(b"\n") > 1 and not octets.endswith(b"\r\n.\r\n")
            verb = octets[:4]
            reply = b"250-x\r\n250 SIZE\r\n" if verb == b"EHLO" else b"250 Ok\r\n"
            writer.write(b"354 Go\r\n" if verb == b"DATA" else reply)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        sent = await Load(Plan(Door("127.0.0.1", port), messages=5, connections=2)).run()
    assert all(message.accepted for message in sent)
    assert together == 0


async def test_a_refused_recipient_is_counted_and_the_next_message_goes_on() -> None:
    manners = Manners([Refusal("user1@*", "550 5.1.1 No"), Refusal("user2@*", "450 4.2.1 Later")])
    async with Sink(manners) as sink:
        sent = await Load(Plan(door(sink), messages=10, connections=1)).run()
        assert [message.code for message in sent] == [250, 550, 450] + [250] * 7
        assert len(sink.arrivals) == 8


async def test_a_lost_connection_costs_one_message_unless_it_persists() -> None:
    async with Sink(Manners(cut=0.2, soft=0.1, seed=3)) as sink:
        sent = await Load(Plan(door(sink), messages=50, connections=3)).run()
        codes = Counter(message.code for message in sent)
        assert set(codes) == {250, 451, 0}
        assert len(sink.arrivals) == 50

    async with Sink(Manners(cut=0.2, soft=0.1, seed=3)) as sink:
        sent = await Load(Plan(door(sink), messages=50, connections=3, persist=True)).run()
        assert all(message.accepted for message in sent)
        assert sum(message.tries for message in sent) == len(sink.arrivals)
        assert len(sink.arrivals) > 50


async def test_it_waits_for_a_server_that_comes_back_only_if_it_persists() -> None:
    async with Sink() as sink:
        port = sink.port
    with pytest.raises(CannotConnect, match=str(port)):
        await Load(Plan(Door("127.0.0.1", port), messages=3)).run()

    load = Load(Plan(Door("127.0.0.1", port), messages=3, persist=True))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load.run())
        await asyncio.sleep(0.25)
        sink = Sink(port=port)
        tasks.create_task(sink.start())
    assert len(sink.arrivals) == 3
    await sink.stop()


async def test_at_a_rate_latency_counts_from_when_a_message_was_due() -> None:
    """One connection to a server of 50 ms a message cannot take 100 a second."""
    async with Sink(Manners(delay=0.05)) as sink:
        sent = await Load(Plan(door(sink), messages=10, connections=1, rate=100)).run()
    due = [message.submitted - sent[0].submitted for message in sent]
    assert due == pytest.approx([number / 100 for number in range(10)])
    assert sent[-1].answered - sent[-1].submitted > 0.3


async def test_it_logs_in_under_tls() -> None:
    authority = trustme.CA()
    server, client = (
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    )
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    taken = []

    class Handler:
        async def handle_DATA(self, _: SMTP, session: Session, __: Envelope) -> str:
            taken.append((session.ssl is not None, session.authenticated))
            return "250 Ok"

    def authenticate(*given: object) -> AuthResult:
        login = given[-1]
        right = (login.login, login.password) == (b"user", b"secret")  # type: ignore[attr-defined]
        return AuthResult(success=right, handled=right)

    listener = await asyncio.get_running_loop().create_server(
        lambda: SMTP(Handler(), tls_context=server, authenticator=authenticate, auth_required=True),
        "127.0.0.1",
        0,
    )
    port = listener.sockets[0].getsockname()[1]
    way_in = Door("127.0.0.1", port, "user", "secret", client)
    sent = await Load(Plan(way_in, messages=4, connections=2)).run()
    assert [message.code for message in sent] == [250] * 4
    assert taken == [(True, True)] * 4

    with pytest.raises(CannotConnect, match="AUTH was answered 535"):
        await Load(Plan(Door("127.0.0.1", port, "user", "wrong", client), messages=1)).run()
    listener.close()


async def test_each_message_may_have_a_connection_of_its_own() -> None:
    async with Sink() as sink:
        sent = await Load(Plan(door(sink), messages=20, connections=3, size=500, once=True)).run()
        assert [message.code for message in sent] == [250] * 20
        assert sink.connections == 20


async def test_a_plan_is_carried_out_by_the_program_too() -> None:
    async with open_door(["127.0.0.1:0/https"], Limits(), certificate()) as service:
        way_in = Door("127.0.0.1", service.addresses[0].port, "user", "secret", any_certificate())
        plan = Plan(way_in, messages=4, connections=2, size=500, http=Form.RAW, once=True)
        program = await asyncio.create_subprocess_exec(
            *load_command(plan), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        said, _ = await program.communicate()
    assert json.loads(said)["codes"] == {"202": 4}


@pytest.mark.parametrize(
    ("form", "once"),
    [(Form.RAW, False), (Form.RAW, True), (Form.JSON, True), (Form.SENDGRID, False)],
)
async def test_it_posts_to_our_http_api_over_tls_and_in_clear(form: Form, once: bool) -> None:
    async with open_door(
        ["127.0.0.1:0/http", "127.0.0.1:0/https"], Limits(), certificate()
    ) as service:
        for address, tls in zip(service.addresses, (None, any_certificate()), strict=True):
            for secret, code in (("secret", 202), ("wrong", 401)):
                way_in = Door("127.0.0.1", address.port, "user", secret, tls)
                plan = Plan(way_in, messages=6, connections=2, size=2000, http=form, once=once)
                sent = await Load(plan).run()
                assert [message.code for message in sent] == [code] * 6


def test_it_sends_to_loopback_only() -> None:
    with pytest.raises(ValueError, match="not a loopback address"):
        Load(Plan(Door("192.0.2.1", 25)))


def message(latency: float, code: int = 250) -> Sent:
    return Sent("1", 3, "a@dest.example", 100.0, 100.0 + latency, code, 1)


def test_percentiles_are_of_accepted_messages() -> None:
    sent = [message(number / 1000) for number in range(1, 101)] + [message(9.0, 451)]
    counted = summary(sent)
    assert (counted["messages"], counted["accepted"]) == (101, 100)
    assert counted["codes"] == {"250": 100, "451": 1}
    by_lane = counted["latency_ms"]
    assert isinstance(by_lane, dict)
    assert by_lane["3"] == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
    assert latencies([]) == {}


async def started(port: int, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.load", "--to", f"127.0.0.1:{port}", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=Path(__file__).parents[2],
    )


async def test_as_a_program_it_prints_its_summary_and_says_by_its_status_if_all_went_well(
    tmp_path: Path,
) -> None:
    async def run(port: int, *arguments: str) -> tuple[int | None, str]:
        program = await started(port, *arguments)
        said, _ = await program.communicate()
        return program.returncode, said.decode()

    log = tmp_path / "sent.tsv"
    async with Sink(Manners([Refusal("dead*", "550 5.1.1 No")])) as sink:
        status, said = await run(sink.port, "-n", "20", "--lanes", "2", "--log", str(log))
        assert status == 0
        assert json.loads(said)["accepted"] == 20
        assert [line.split("\t")[2:5:2] for line in log.read_text().splitlines()] == [
            ["250", "2"]
        ] * 20
        status, _ = await run(sink.port, "-n", "1", "--recipient", "dead@dest.example")
        assert status == 1
    status, said = await run(sink.port)
    assert status == 1
    assert "cannot connect to 127.0.0.1" in said


async def test_told_to_end_it_reports_what_was_answered(tmp_path: Path) -> None:
    log = tmp_path / "sent.tsv"
    async with Sink(Manners(keep=True)) as sink:
        program = await started(sink.port, "-n", "100000", "--rate", "50", "--log", str(log))
        await until(lambda: len(sink.arrivals) >= 5)
        program.terminate()
        said, _ = await program.communicate()
        assert program.returncode == 0
        report = json.loads(said)
        assert 0 < report["accepted"] == len(log.read_text().splitlines()) <= len(sink.arrivals)
