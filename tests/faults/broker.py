"""A relay in many processes whose RabbitMQ is struck: what it says, and whether all flows.

Mail also moves without a broker, so that what was sent and arrived proves nothing about hints:
they are counted where they arrive.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from urllib.request import urlopen

from bench.sink import Sink
from prometheus_client.parser import text_string_to_metric_families

from chaos.flow import Count, Flow, flowing
from chaos.program import Program
from chaos.relay import Split
from faults.database import BACK, flows
from posthouse.broker import Topic
from posthouse.broker.rabbitmq_session import EXCHANGE, routing_key
from posthouse.mail.lane import Lane
from servers.patience import eventually, on_this_machine
from servers.rabbitmq import RabbitNode

HINTS = {routing_key(topic, lane) for topic in Topic for lane in Lane}


async def metric(program: Program, name: str, **labels: str) -> list[float]:
    """The values of *name* under *labels*; none while the program does not answer."""
    try:
        text = await asyncio.to_thread(_metrics, program._health)
    except OSError:
        return []
    return [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]


def hearers(relay: Split) -> list[Program]:
    """Those that hints are for."""
    return [relay.programs["policy"], *relay.dispatchers.values()]


async def hints_heard(programs: Iterable[Program]) -> float:
    """How many came to *programs* since they were started."""
    return sum([sum(await metric(p, "posthouse_amqp_hints_received_total")) for p in programs])


async def is_heard(program: Program) -> bool:
    """Whether it is ready, connected and subscribed."""
    return [1] == await metric(program, "posthouse_amqp_connected") and await program.is_ready()


async def all_flows(relay: Split, sink: Sink, number: int, within: float = BACK) -> None:
    """Return when all is as if nothing had been, and message *number* and its hints went through.

    *number* and those that follow are of messages used only here: a hint may be dropped at
    first, by a program that believes that the broker is still away.
    """
    policy, dispatchers = relay.programs["policy"], list(relay.dispatchers.values())

    async def heard() -> bool:
        return all([await is_heard(program) for program in hearers(relay)])

    async with asyncio.timeout(on_this_machine(within)):
        await eventually(heard)
        before = await hints_heard([policy]), await hints_heard(dispatchers)
        after = before
        while after[0] == before[0] or after[1] == before[1]:
            await flows(relay, sink, number)
            number += 1
            after = await hints_heard([policy]), await hints_heard(dispatchers)


@asynccontextmanager
async def flowing_in_parts(relay: Split, messages: int) -> AsyncIterator[Flow]:
    """As `flowing`, but nothing is submitted until `moves_on` lets it."""
    async with flowing(relay, messages) as flow:
        flow.allow(0)
        yield flow


async def moves_on(flow: Flow, share: float, within: float = 30.0) -> None:
    """Let *share* (0 to 1) of all messages come in, and return when they have arrived."""
    flow.allow(share)
    await flow.reached(share, within)


async def says_so(programs: Sequence[Program], text: str, within: float = 15.0) -> None:
    """Return when each of *programs* is not ready, because the broker is *text*."""

    async def told() -> bool:
        answers = [await program.readiness() for program in programs]
        return all(" 503 " in answer and text in answer for answer in answers)

    await eventually(told, within)


def nothing_lost(messages: int, count: Count) -> None:
    """All were accepted at the first try and arrived once; no delivery is uncertain."""
    assert (messages, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert (0, 0, 0) == (count.resubmitted, count.doubled, count.uncertain), count
    assert (0, 0) == (count.delivered_twice, count.unexplained), count


async def ctl(node: RabbitNode, *arguments: str) -> str:
    """Have the operator say something to the broker; mail goes on meanwhile."""
    return await asyncio.to_thread(node.ctl, *arguments)


async def bound(node: RabbitNode) -> set[str]:
    """The routing keys of hints that somebody listens to."""
    columns = "source_name", "routing_key"
    listed = await ctl(node, "-q", "list_bindings", *columns, "--no-table-headers")
    found = (line.split("\t") for line in listed.splitlines())
    return {key for source, key in found if source == EXCHANGE}


def _metrics(port: int) -> str:
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=on_this_machine(5)) as page:
        return str(page.read(), "utf-8")
