"""Each way to break a relay, in a short form; `make chaos` has the long one."""

import pytest

from chaos.cases import CASES, Case
from chaos.ordeal import Running, ordeal
from chaos.relay import Onebox, Relay, Split
from servers.missing import missing

# Messages, and how often each service is struck.
SHORT = {
    "onebox": (800, 3),
    "onebox-worker": (600, 2),
    "onebox-database": (600, 4),
    "onebox-stop": (600, 2),
    "onebox-cut": (600, 0),
    "split": (1000, 2),
    "services-stop": (600, 2),
    "servers-stop": (500, 1),
    "all-at-once": (500, 1),
    "wiped": (500, 1),
    "split-cut": (600, 0),
}
# What strikes here has a test in tests/faults, tests/onebox or tests/dispatcher too, by itself.
ALONE = {
    *("onebox-worker", "onebox-database", "onebox-stop", "onebox-cut"),
    *("servers-stop", "all-at-once", "wiped", "split-cut"),
}


def short(*, split: bool) -> list[object]:
    return [
        pytest.param(
            case,
            *SHORT[case.name],
            id=case.name,
            marks=[pytest.mark.long] if case.name in ALONE else [],
        )
        for case in CASES
        if case.name in SHORT and case.split is split
    ]


async def hold(case: Case, relay: Relay, messages: int, strikes: int) -> None:
    running = Running(case.name, messages, len(case.blows(strikes)))
    result = await ordeal(case, relay, strikes, seed=1, running=running)
    assert () == result.broken, result.count


@pytest.mark.parametrize(("case", "messages", "strikes"), short(split=False))
async def test_onebox(onebox: Onebox, case: Case, messages: int, strikes: int) -> None:
    if case.services == ("worker",) and not onebox.program.workers():
        missing("a second process of `posthouse up`", "it did not start any")
    await hold(case, onebox, messages, strikes)


@pytest.mark.rabbitmq
@pytest.mark.parametrize(("case", "messages", "strikes"), short(split=True))
async def test_split(split: Split, case: Case, messages: int, strikes: int) -> None:
    if not set(case.servers) <= set(split.parts):
        missing("a RabbitMQ that may be killed", "POSTHOUSE_TEST_AMQP_URL names one in use")
    await hold(case, split, messages, strikes)
