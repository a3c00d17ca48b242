"""Whether the database answers: asked while somebody waits for it, and only then."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import structlog

from posthouse.store import StoreUnavailable
from posthouse.store.database_watchdog import ANSWER_SECONDS, LOOK_SECONDS, DatabaseWatchdog
from servers.clocks import TimelessLoop
from servers.patience import until

pytestmark = pytest.mark.usefixtures("timeless")


@dataclass
class Server:
    """Answers after a number of seconds, once it is open."""

    seconds: float = 0.0
    failure: Exception | None = None
    asked: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, query: str) -> None:
        """As Server promises."""
        assert query == "round_trip"
        self.asked += 1
        await self.open.wait()
        await asyncio.sleep(self.seconds)
        for _ in range(5):  # as one from a socket takes some turns of the loop to get here
            await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure

    async def close(self) -> None:
        """As Server promises."""


@pytest.fixture
def server() -> Server:
    """A server that answers."""
    made = Server()
    made.open.set()
    return made


@pytest.fixture
async def watchdog(server: Server) -> AsyncIterator[DatabaseWatchdog]:
    """Its watchdog, being watched."""
    made, stopping = DatabaseWatchdog(server), asyncio.Event()
    running = asyncio.create_task(made.run(stopping))
    await until(lambda: server.asked == 1)
    yield made
    stopping.set()
    server.open.set()
    await running


async def wait_for_commit(watchdog: DatabaseWatchdog, seconds: float = 60.0) -> None:
    """A commit that never ends."""
    async with watchdog.deadline(seconds):
        await asyncio.Event().wait()


async def test_nobody_who_waits_and_nobody_who_is_served_soon_has_it_asked(
    watchdog: DatabaseWatchdog, server: Server
) -> None:
    end = asyncio.get_running_loop().time() + 4 * LOOK_SECONDS
    while asyncio.get_running_loop().time() < end:
        async with watchdog.deadline(1):
            await asyncio.sleep(0.01)
    assert 1 == server.asked


async def test_a_server_that_answers_is_waited_for(
    watchdog: DatabaseWatchdog, server: Server
) -> None:
    """For as long as was said, and its errors are answers too."""
    server.failure = StoreUnavailable("too many connections")
    with pytest.raises(StoreUnavailable, match=r"not within 1\.5 seconds"):
        await wait_for_commit(watchdog, 1.5)
    assert server.asked > 2


async def test_a_server_that_says_nothing_is_given_up_until_it_answers(
    watchdog: DatabaseWatchdog, server: Server
) -> None:
    """All callers that wait for it fail together, and later ones at once."""
    server.open.clear()
    with structlog.testing.capture_logs() as logged:
        waiting = (wait_for_commit(watchdog) for _ in range(10))
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert {"no answer from the database: it fell silent"} == {str(r) for r in results}
        with pytest.raises(StoreUnavailable, match="is silent"):
            async with watchdog.deadline(60):
                pytest.fail("no caller should wait for it")

        server.open.set()
        await until(lambda: logged[-1]["event"] == "database_answers")
    async with watchdog.deadline(60):
        pass
    assert ["database_silent", "database_answers"] == [line["event"] for line in logged]


async def test_when_it_is_we_who_stood_still_the_server_is_not_blamed(
    watchdog: DatabaseWatchdog, server: Server
) -> None:
    """Its answer may have come meanwhile, and is listened to first."""
    server.seconds = ANSWER_SECONDS / 10
    waiting = asyncio.create_task(wait_for_commit(watchdog))
    await until(lambda: server.asked == 2)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, TimelessLoop)
    loop.stand_still(3 * ANSWER_SECONDS)
    await until(lambda: server.asked == 3)
    assert not waiting.done()
    waiting.cancel()


async def test_who_gave_up_by_himself_is_forgotten(
    watchdog: DatabaseWatchdog, server: Server
) -> None:
    waiting = asyncio.create_task(wait_for_commit(watchdog))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(3 * LOOK_SECONDS)
    assert 1 == server.asked
