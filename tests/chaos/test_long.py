"""The long form, `make chaos`: 20,000 messages for each part that is struck, and a report.

POSTHOUSE_CHAOS_MESSAGES says how many messages instead, POSTHOUSE_CHAOS_STRIKES how often each
part is struck. What was counted is printed and written to reports/chaos.jsonl, a line a case.
"""

import asyncio
import json
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from chaos.flow import Count, flowing
from chaos.relay import Onebox, Part, Relay, Split
from chaos.strikes import How, moments, strike
from servers.missing import missing

MESSAGES = int(os.environ.get("POSTHOUSE_CHAOS_MESSAGES", "20000"))
STRIKES = int(os.environ.get("POSTHOUSE_CHAOS_STRIKES", "20"))
REPORT = Path(__file__).parents[2] / "reports" / "chaos.jsonl"
SERVICES = ("ingest", "policy", "dispatcher", "bounces")
SERVERS = ("postgres", "rabbitmq")
# A rate of a tenth of what the relay does, and half a minute for each strike.
PATIENCE = 120 + MESSAGES / 40 + 30 * STRIKES
# Servers take seconds to come back while mail moves on: so slowly that all of it is struck.
SERVERS_RATE = MESSAGES / (5 * STRIKES)

pytestmark = [pytest.mark.long, pytest.mark.timeout(PATIENCE + 120)]

Say = Callable[[str], None]


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Say:
    """Print a line now, whatever is captured."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    name = request.node.name

    def show(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{name}: {line}", end="", flush=True)  # noqa: T201 -- progress

    return show


async def ordeal(
    relay: Relay, parts: Sequence[Part], how: How, say: Say, case: str, *, rate: float = 0.0
) -> Count:
    """Strike *parts* while the messages are on their way; what became of them, reported."""
    seed = random.SystemRandom().randrange(1 << 32)
    say(f"{MESSAGES} messages, {STRIKES} times {how}, seed {seed}")
    async with flowing(relay, MESSAGES, rate=rate) as flow:
        telling = asyncio.create_task(flow.tell(say, every=10))
        try:
            await strike(flow, parts, how, moments(STRIKES, seed), say)
            count = await flow.all_through(within=PATIENCE)
        finally:
            telling.cancel()
    line = {"case": case, "how": how, "strikes": STRIKES, "seed": seed, **count.as_dict()}
    say(json.dumps(line))
    REPORT.parent.mkdir(exist_ok=True)
    with REPORT.open("a") as report:
        report.write(json.dumps(line) + "\n")
    return count


def check(count: Count, how: How) -> None:
    """Nothing is lost; a kill doubles what it may have to, a stop nothing."""
    assert (MESSAGES, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert count.doubled <= (count.uncertain if how is How.KILL else 0), count
    assert (0, 0) == (count.delivered_twice, count.unexplained), count


@pytest.mark.parametrize("how", How)
async def test_onebox(onebox: Onebox, how: How, say: Say) -> None:
    count = await ordeal(onebox, [onebox.program], how, say, "onebox")
    check(count, how)
    assert how is How.KILL or count.resubmitted == 0


@pytest.mark.rabbitmq
@pytest.mark.parametrize("victim", [*SERVICES, *SERVERS])
async def test_split_kills(split: Split, victim: str, say: Say) -> None:
    if victim == "rabbitmq" and victim not in split.parts:
        missing("a RabbitMQ that may be killed", "POSTHOUSE_TEST_AMQP_URL names one in use")
    parts = [part for name, part in split.parts.items() if name.startswith(victim)]
    rate = SERVERS_RATE if victim in SERVERS else 0.0
    check(await ordeal(split, parts, How.KILL, say, victim, rate=rate), How.KILL)


@pytest.mark.rabbitmq
@pytest.mark.parametrize("victims", [SERVICES, SERVERS], ids=["services", "servers"])
async def test_split_stops(split: Split, victims: tuple[str, ...], say: Say) -> None:
    parts = [part for name, part in split.parts.items() if name.startswith(victims)]
    rate = SERVERS_RATE if victims == SERVERS else 0.0
    count = await ordeal(split, parts, How.STOP, say, "+".join(victims), rate=rate)
    check(count, How.STOP)
    assert victims == SERVERS or count.resubmitted == 0
