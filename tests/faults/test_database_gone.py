"""PostgreSQL that is gone, and comes back: no client waits for it, and no operator has to help."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg

from chaos.flow import flowing
from chaos.relay import Onebox
from faults.database import (
    BACK,
    FAULT,
    NO_LOGIN,
    Brokerless,
    ServerProcesses,
    command,
    data_of,
    flows,
    stranger,
    timed_knock,
    turned_away_in_time,
)
from servers.patience import eventually

MESSAGES = 300


def server_answers(relay: Onebox) -> Callable[[], Awaitable[bool]]:
    """Whether there is a database at all, for `eventually`."""

    async def answers() -> bool:
        try:
            await command(relay.database_url, "SELECT 1")
        except (OSError, asyncpg.PostgresError):
            return False
        return True

    return answers


async def test_a_onebox_starts_its_database_again(tmp_path: Path) -> None:
    """Killed under load, twice: mail flows within five seconds, and none is lost or doubled."""
    relay = Onebox(tmp_path)
    try:
        await relay.start()
        server = ServerProcesses(data_of(relay, tmp_path))
        async with flowing(relay, MESSAGES) as flow:
            for number in range(2):
                await flow.reached(0.3 + 0.3 * number)
                server.kill()
                await eventually(server_answers(relay), within=30)
                await flows(relay, flow.sink, MESSAGES + number)
            count = await flow.all_through(within=60)
    finally:
        await relay.close()
    assert (MESSAGES, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert (0, 0, 0) == (count.doubled, count.delivered_twice, count.unexplained), count


async def test_without_a_database_nobody_waits_and_all_goes_on_when_it_is_back(
    tmp_path: Path,
) -> None:
    """451 and 454 at once for as long as it is away; what was accepted before is sent after."""
    relay = Brokerless(tmp_path)
    try:
        await relay.start()
        postgres = relay.parts["postgres"]
        normal = relay.customer.normal
        async with flowing(relay, MESSAGES) as flow:
            await flow.reached(0.4)
            await postgres.kill()
            heard = []
            for _ in range(8):
                heard += [await timed_knock(door) for door in (normal, stranger(normal))]
                await asyncio.sleep(0.5)
            assert not await relay.programs["ingest"].is_ready()

            await postgres.start()
            await flows(relay, flow.sink, number=MESSAGES)
            await eventually(relay.programs["ingest"].is_ready, within=BACK)
            count = await flow.all_through(within=60)
    finally:
        await relay.close()
    assert {FAULT, NO_LOGIN} == {said for _, said in heard}
    assert turned_away_in_time(heard), heard
    assert (MESSAGES, 0, 0) == (count.accepted, count.refused, count.lost), count
    assert (0, 0) == (count.doubled, count.delivered_twice), count


async def test_a_program_waits_for_its_database_and_says_so_once(tmp_path: Path) -> None:
    relay = Brokerless(tmp_path)
    ingest = relay.programs["ingest"]
    try:
        ingest.launch()

        async def waiting() -> bool:
            return "waiting_for_database" in ingest.said()

        await eventually(waiting, within=30)
        await asyncio.sleep(1.5)  # and asks again a few times
        await relay.start_database()
        await eventually(ingest.is_ready, within=BACK)
        assert 1 == ingest.said().count("waiting_for_database")
    finally:
        await relay.close()
