"""Numbered messages on their way through a relay, and the count of what became of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from bench.load import Load, Plan
from bench.load_session import Door
from bench.sink import Sink
from bench.sink_session import Manners

from chaos.ledger import Ledger
from chaos.relay import SENDER_DOMAIN, Relay
from chaos.tally import Count, Tally
from servers.patience import on_this_machine

__all__ = ["SLOW", "Count", "Flow", "flowing"]

_LOOK_SECONDS = 0.02
_DRAIN_SECONDS = 0.1
# Each message answered a little late: so something is on the wire whenever lightning strikes.
SLOW = Manners(delay=0.01)


class Flow:
    """Messages that are being submitted, sent on and taken."""

    def __init__(self, plans: Sequence[Plan], sink: Sink, ledger: Ledger, since: datetime) -> None:
        """Must be made in a running loop. The relay's events count from *since* on."""
        self.sink = sink
        self.messages = sum(plan.messages for plan in plans)
        self._loads = [Load(plan, held=self._leave) for plan in plans]
        self._left = 0
        self._allowed: float = self.messages
        self._allowance_changed = asyncio.Event()
        self._ledger = ledger
        self._since = since
        self._tally = Tally()
        self._noted = [0] * len(plans)  # how much of each load is in the tally
        self._arrivals_noted = 0
        self._began = time.monotonic()
        self._loading = asyncio.gather(*(load.run() for load in self._loads))

    @property
    def tally(self) -> Tally:
        """What the client and the sink saw up to now."""
        for place, load in enumerate(self._loads):
            self._tally.answers(load.sent[self._noted[place] :])
            self._noted[place] = len(load.sent)
        self._tally.arrivals(self.sink.arrivals[self._arrivals_noted :])
        self._arrivals_noted = len(self.sink.arrivals)
        return self._tally

    @property
    def accepted(self) -> int:
        """How many have their answer."""
        return self.tally.answered

    @property
    def arrived(self) -> int:
        """How many the sink has taken, doubles included."""
        return self.tally.transactions

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._began

    def forget(self) -> None:
        """Keep what was counted, and let go of the messages it was counted from."""
        _ = self.tally
        for load in self._loads:
            load.sent.clear()
        self.sink.arrivals.clear()
        self._noted = [0] * len(self._loads)
        self._arrivals_noted = 0

    def allow(self, share: float) -> None:
        """Let only this *share* (0 to 1) of the messages be submitted, until the next call."""
        self._allowed = share * self.messages
        self._allowance_changed.set()

    async def reached(self, share: float, within: float = 120.0) -> None:
        """Return when the messages have come *share* (0 to 1) of their way, on the average."""
        async with asyncio.timeout(on_this_machine(within)):
            while (tally := self.tally).answered + tally.came < share * 2 * self.messages:
                self._raise_failure()
                await asyncio.sleep(_LOOK_SECONDS)

    async def busy(self, under_way: int, within: float = 120.0) -> bool:
        """Return as soon as that many messages are under way; False when no more may come."""
        async with asyncio.timeout(on_this_machine(within)):
            while (tally := self.tally).under_way < under_way:
                self._raise_failure()
                if tally.answered >= self._allowed and not tally.under_way:
                    return False
                await asyncio.sleep(_LOOK_SECONDS / 10)
        return True

    async def uncertain(self) -> int:
        """How often the relay has owned up that it may have sent something twice."""
        return (await self._ledger.uncertain(self._since)).total()

    async def all_through(self, within: float, *, nudging: bool = False) -> Count:
        """Wait until each has its final result, and count.

        *nudging*: what waits for another try is tried at once.
        """
        try:
            async with asyncio.timeout(on_this_machine(within)):
                await self._loading
                while await self._ledger.open_items():
                    if nudging:
                        await self._ledger.nudge()
                    await asyncio.sleep(_DRAIN_SECONDS)
        except TimeoutError:
            left = await self._ledger.open_items()
            raise AssertionError(
                f"not through after {within:g} s: {self.accepted} of {self.messages} "
                f"answered, {self.tally.came} arrived, {left} still in the relay"
            ) from None
        seconds = self.seconds
        return self.tally.count(await self._ledger.records(self._since), seconds)

    async def close(self) -> None:
        """Submit no more."""
        self._loading.cancel()
        await asyncio.gather(self._loading, return_exceptions=True)

    async def _leave(self) -> None:
        """Return when one more message may be submitted."""
        while self._left >= self._allowed:
            self._allowance_changed.clear()
            await self._allowance_changed.wait()
        self._left += 1

    def _raise_failure(self) -> None:
        if self._loading.done():
            self._loading.result()


@asynccontextmanager
async def flowing(
    relay: Relay,
    messages: int,
    *,
    connections: int = 20,
    manners: Manners = SLOW,
    rate: float = 0.0,
    doors: Sequence[Door] = (),
) -> AsyncIterator[Flow]:
    """*messages* being submitted over *connections* connections by a client that does not give up.

    What is not accepted is sent again until it is. *rate*: messages a second, 0 for as fast as
    they are taken. *doors* share messages, connections and rate; without them there is one.
    """
    doors = doors or (relay.customer.normal,)
    each = -(-messages // len(doors))
    plans = [
        Plan(
            door,
            messages=min(each, messages - first),
            first=first,
            connections=connections // len(doors),
            size=2048,
            sender=f"news@{SENDER_DOMAIN}",
            rate=rate / len(doors),
            persist=True,
        )
        for door, first in zip(doors, range(0, messages, each), strict=True)
    ]
    async with Sink(manners, port=relay.sink_port) as sink:
        ledger = Ledger(relay.database_url)
        flow = Flow(plans, sink, ledger, await ledger.now())
        try:
            yield flow
        finally:
            await flow.close()
