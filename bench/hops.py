"""Where the time of one message goes in separate services, hop by hop.

    PYTHONPATH=tests .venv/bin/python -m bench.hops -n 1000 --rate 100

Statements and hints are timed in the services (see `hops_site`), all else by load generator and
sink. Messages that overtake each other are assigned wrongly, so the rate should be low enough that
they seldom do; medians are of single hops, and do not add up to the median of the whole. At the end
it prints the memory of the four services together, at rest before and after.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from bench.accounting import memory_octets, running
from bench.figures import Arrived
from bench.load import Load, Plan
from bench.load_summary import Sent
from bench.receiving import Receiving
from bench.split import Split
from bench.systems import DOMAIN

from servers.ports import lasting_ports

SITE = Path(__file__).with_name("hops_site")
SERVICES = ("ingest", "policy", "dispatcher", "bounces")
WARM_UP = 100  # messages
REST_SECONDS = 3.0
FOLDER = Path("/var") / "tmp"  # on a disk, which /tmp may not be

# The hops of a message, in order.
EVENTS = (
    "accept_submissions",
    "submissions sent",
    "submissions heard",
    "claim_submissions",
    "prepare_submissions",
    "deliveries sent",
    "deliveries heard",
    "claim_deliveries",
)

Times = dict[str, list[tuple[float, float]]]


def events(folder: Path) -> Times:
    """Begin and end of everything recorded, by name, in order."""
    found: Times = defaultdict(list)
    for path in folder.glob("*.tsv"):
        for line in path.read_text().splitlines():
            name, begun, ended = line.split("\t")
            found[name].append((float(begun), float(ended)))
    for times in found.values():
        times.sort()
    return found


def hops(sent: Sent, arrived: Arrived, found: Times) -> dict[str, float] | None:
    """The time of each hop of one message, in seconds; None where it is not known."""
    spans = {}
    before = sent.submitted
    for event in EVENTS:
        times = found[event]
        index = bisect_left(times, (before, 0.0))
        if index == len(times):
            return None
        begun, ended = times[index]
        spans[f"until {event}"] = begun - before
        spans[event] = ended - begun
        before = ended
    spans["until MAIL at the destination"] = arrived.started - before
    spans["MAIL to final dot"] = arrived.at - arrived.started
    spans["submission to 250"] = sent.answered - sent.submitted
    spans["end to end"] = arrived.at - sent.submitted
    return spans if min(spans.values()) >= 0 else None


async def measure(messages: int, rate: float, parent: Path) -> None:
    """Run separate services at *rate* and print the hops."""
    with tempfile.TemporaryDirectory(dir=parent) as name:
        folder = Path(name)
        noted = folder / "noted"
        noted.mkdir()
        path = f"{SITE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        [port] = lasting_ports(1)
        split = Split(folder, port)
        await split.prepare()
        split.environ |= {"BENCH_HOPS": str(noted), "PYTHONPATH": path}
        async with Receiving.open(port, folder) as receiving:
            try:
                await split.start()
                before = await services_octets(split)
                total = WARM_UP + messages
                plan = Plan(split.door, total, 20, sender=f"news@{DOMAIN}", rate=rate)
                sent = await Load(plan).run()
                arrivals = {a.id: a for a in await receiving.next(total, 30)}
                after = await services_octets(split)
            finally:
                await split.stop()
        found = events(noted)
        report([(s, arrivals[s.id]) for s in sent[WARM_UP:]], found)
        print("Of each, for a message:")
        for event, times in sorted(found.items(), key=lambda item: -len(item[1])):
            print(f"{event:32}{len(times) / total:8.2f}")
        print(f"Services, MB (PSS): {before / 1e6:.0f} before, {after / 1e6:.0f} after")


async def services_octets(split: Split) -> int:
    """The memory of the four services at rest, shared pages once."""
    await asyncio.sleep(REST_SECONDS)
    return memory_octets(running(split.account.pids(), SERVICES))


def report(messages: Sequence[tuple[Sent, Arrived]], found: Times) -> None:
    """Print median and 99th percentile of each hop, in milliseconds."""
    told = [spans for sent, arrived in messages if (spans := hops(sent, arrived, found))]
    print(f"{len(told)} of {len(messages)} messages told apart; ms, p50 and p99")
    for name in told[0]:
        took = sorted(1000 * spans[name] for spans in told)
        print(f"{name:32}{statistics.median(took):8.2f}{took[int(len(took) * 0.99)]:8.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=1000, help="messages")
    parser.add_argument("--rate", type=float, default=100.0, help="messages a second")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where data lies")
    given = parser.parse_args()
    asyncio.run(measure(given.n, given.rate, given.folder))
