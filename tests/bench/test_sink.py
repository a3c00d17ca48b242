"""The sink of the benchmarks: what it takes, what it remembers, how it misbehaves."""

import asyncio
import json
import signal
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from bench.sink import Sink
from bench.sink_session import Manners, Outcome, Refusal

from servers.patience import on_this_machine

MAIL = b"MAIL FROM:<a@sender.example> SIZE=9\r\nRCPT TO:<Ann@dest.example> NOTIFY=NEVER\r\nDATA\r\n"


@asynccontextmanager
async def connected(sink: Sink) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
    reader, writer = await asyncio.open_connection(sink.host, sink.port)
    assert (await reader.readline()).startswith(b"220 ")
    yield reader, writer
    writer.close()


async def codes(reader: StreamReader, count: int) -> list[str]:
    async with asyncio.timeout(on_this_machine(10)):
        return [(await reader.readline())[:3].decode() for _ in range(count)]


def saved_in(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.glob("*.eml")]


@pytest.mark.parametrize("piece", [1, 7, 1000])
async def test_octets_may_come_in_any_pieces(piece: int) -> None:
    text = b"Subject: x\r\nX-N: 17\r\n\r\n..one\r\n.\rtwo\n.\nthree\r\n.\r\n"
    octets = (MAIL + text) * 2 + MAIL + b".\r\nQUIT\r\n"
    async with Sink(Manners(keep=True)) as sink, connected(sink) as (reader, writer):
        for begin in range(0, len(octets), piece):
            writer.write(octets[begin : begin + piece])
            await writer.drain()
            await asyncio.sleep(0)
        assert await codes(reader, 13) == ["250", "250", "354", "250"] * 3 + ["221"]
        first, second, empty = sink.arrivals
        assert (first.id, first.sender, first.recipients) == (
            "17",
            "a@sender.example",
            ("ann@dest.example",),
        )
        assert first.content == b"Subject: x\r\nX-N: 17\r\n\r\n.one\r\n\rtwo\n.\nthree\r\n"
        assert first.size == len(text) - len(b".\r\n")
        assert (second.id, empty.id, empty.content) == ("17", "", b"")
        assert first.started <= first.at <= second.started


async def test_refused_recipients_are_answered_by_their_pattern() -> None:
    manners = Manners([Refusal.parse("dead*=550 5.1.1 No such user")])
    async with Sink(manners) as sink, connected(sink) as (reader, writer):
        writer.write(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<Dead1@dest.example>\r\nDATA\r\n")
        assert await codes(reader, 8) == ["250"] * 5 + ["250", "550", "554"]
        writer.write(
            b"RCPT TO:<ann@dest.example>\r\nDATA\r\nX-Bench-Id: a\r\n.\r\nRSET\r\nWHAT\r\n"
        )
        assert await codes(reader, 5) == ["250", "354", "250", "250", "500"]
        (arrival,) = sink.arrivals
        assert (arrival.id, arrival.recipients) == ("a", ("ann@dest.example",))
        assert sink.refused == {"550": 1}


async def test_a_slow_sink_answers_later_and_takes_nothing_meanwhile() -> None:
    async with Sink(Manners(delay=0.1)) as sink, connected(sink) as (reader, writer):
        writer.write((MAIL + b"x\r\n.\r\n") * 3)
        assert await codes(reader, 12) == ["250", "250", "354", "250"] * 3
        times = [arrival.at for arrival in sink.arrivals]
        assert times[2] - times[0] >= 0.19


async def test_a_cut_after_the_dot_is_taken_and_not_told() -> None:
    async with Sink(Manners(cut=1.0)) as sink, connected(sink) as (reader, writer):
        writer.write(MAIL + b"X-N: 1\r\n.\r\n")
        with pytest.raises((ConnectionResetError, AssertionError)):
            assert await codes(reader, 4) == ["250", "250", "354", "250"]
        assert [arrival.outcome for arrival in sink.arrivals] == [Outcome.CUT]


async def test_trouble_comes_by_chance_and_the_same_for_the_same_seed() -> None:
    async def outcomes(seed: int) -> list[Outcome]:
        manners = Manners(soft=0.3, seed=seed)
        async with Sink(manners) as sink, connected(sink) as (reader, writer):
            writer.write((MAIL + b"x\r\n.\r\n") * 200)
            answers = (await codes(reader, 800))[3::4]
            assert {"250", "451"} == set(answers)
            return [arrival.outcome for arrival in sink.arrivals]

    one = await outcomes(1)
    assert 30 < one.count(Outcome.SOFT) < 90
    assert one == await outcomes(1)
    assert one != await outcomes(2)


async def test_stopping_cuts_who_is_there_and_counts() -> None:
    sink = Sink()
    await sink.start()
    async with connected(sink) as (reader, writer):
        writer.write((MAIL + b"X-N: 1\r\n.\r\n") * 2 + MAIL + b"half")
        await codes(reader, 11)
        await sink.stop()
        with pytest.raises((ConnectionResetError, AssertionError)):
            assert await codes(reader, 1) == ["250"]
    counted = sink.summary()
    assert (counted["arrived"], counted["distinct"], counted["connections"]) == (2, 1, 1)


async def test_waiting_for_what_never_comes_says_how_much_came() -> None:
    async with Sink() as sink:
        assert await sink.arrived(0) == []
        with pytest.raises(TimeoutError, match="0 of 1 messages arrived"):
            await sink.arrived(1, seconds=0.05)


async def test_it_listens_on_loopback_only() -> None:
    with pytest.raises(ValueError, match="not a loopback address"):
        await Sink(host="0.0.0.0").start()  # noqa: S104 -- what must not work


async def test_as_a_program_it_logs_arrivals_and_sums_up_at_sigterm(tmp_path: Path) -> None:
    log = tmp_path / "arrivals.tsv"
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.sink", "--listen", "127.0.0.1:0", "--log", str(log)),
        *("--save", str(tmp_path), "--save-first", "1"),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert program.stdout is not None
    ready = json.loads(await program.stdout.readline())
    host, _, port = ready["listening"].rpartition(":")
    async with connected(Sink(host=host, port=int(port))) as (reader, writer):
        writer.write(MAIL + b"X-Bench-Id: seven\r\n.\r\n" + MAIL + b"X-N: 8\r\n.\r\n")
        await codes(reader, 8)
    program.send_signal(signal.SIGTERM)
    counted = json.loads((await program.communicate())[0])
    assert (program.returncode, counted["taken"]) == (0, 2)
    assert saved_in(tmp_path) == [b"X-Bench-Id: seven\r\n"]
    fields = log.read_text().splitlines()[0].split("\t")
    assert fields[2:4] == ["taken", "seven"]
    assert fields[5].strip() == "ann@dest.example"
