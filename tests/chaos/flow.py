"""Numbered messages on their way through a relay, and the count of what became of them."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Self

from bench.load import Load, Plan, Sent
from bench.sink import Sink
from bench.sink_session import Arrival, Manners, Outcome

from chaos.ledger import Ledger
from chaos.relay import SENDER_DOMAIN, Relay

_LOOK_SECONDS = 0.02
_DRAIN_SECONDS = 0.1
# Each message answered a little late: so something is on the wire whenever lightning strikes.
_SLOW = Manners(delay=0.02)


@dataclass(frozen=True, slots=True)
class Count:
    """What became of the messages; the sink's word is the truth."""

    messages: int
    accepted: int  # answered 250
    refused: int  # answered 5xx
    lost: int  # accepted, and never at the sink
    doubled: int  # transactions beyond a delivery's first, without those that the sink cut
    cut: int  # taken by the sink, which hung up instead of answering
    resubmitted: int  # the client heard no answer and sent it again, though it had been kept
    uncertain: int  # events by which the relay owns up that it may have sent something twice
    delivered_twice: int  # deliveries with two successes in the relay's own records
    unexplained: int  # difference between what the relay says it delivered and what came
    seconds: float

    @classmethod
    def of(
        cls,
        sent: list[Sent],
        arrivals: list[Arrival],
        events: Counter[str],
        delivered_twice: int,
        seconds: float,
    ) -> Self:
        """Compare what the client, the sink and the relay say."""
        accepted = {message.id for message in sent if message.accepted}
        came = [arrival for arrival in arrivals if arrival.outcome is not Outcome.SOFT]
        # Each delivery has a return path of its own, so that a message submitted twice is told
        # from one that was sent twice.
        deliveries = {arrival.sender: arrival.id for arrival in came}
        cut = sum(arrival.outcome is Outcome.CUT for arrival in came)
        return cls(
            messages=len(sent),
            accepted=len(accepted),
            refused=sum(message.code >= 500 for message in sent),
            lost=len(accepted - set(deliveries.values())),
            doubled=len(came) - len(deliveries) - cut,
            cut=cut,
            resubmitted=len(deliveries) - len(set(deliveries.values())),
            uncertain=events["uncertain"],
            delivered_twice=delivered_twice,
            unexplained=events["accepted"] - len(deliveries)
            or events["delivered"] - len(deliveries),
            seconds=round(seconds, 1),
        )

    def as_dict(self) -> dict[str, float]:
        """For a report."""
        return asdict(self)


class Flow:
    """Messages that are being submitted, sent on and taken."""

    def __init__(
        self,
        load: Load,
        loading: "asyncio.Task[list[Sent]]",
        sink: Sink,
        ledger: Ledger,
        since: datetime,
    ) -> None:
        """The relay's events count from *since* on."""
        self.load = load
        self.sink = sink
        self._loading = loading
        self._ledger = ledger
        self._began = time.monotonic()
        self._since = since

    @property
    def accepted(self) -> int:
        """How many have their answer."""
        return len(self.load.sent)

    @property
    def arrived(self) -> int:
        """How many came to the sink, doubles included."""
        return len(self.sink.arrivals)

    async def reached(self, share: float, within: float = 120.0) -> None:
        """Return when the messages have come *share* (0 to 1) of their way, on the average."""
        wanted = share * 2 * self.load.plan.messages
        async with asyncio.timeout(within):
            while self.accepted + self.arrived < wanted:
                self._raise_failure()
                await asyncio.sleep(_LOOK_SECONDS)

    async def all_through(self, within: float, *, nudging: bool = False) -> Count:
        """Wait until each has its final result, and count.

        *nudging*: what waits for another try is tried at once.
        """
        try:
            async with asyncio.timeout(within):
                sent = await self._loading
                while await self._ledger.open_items():
                    if nudging:
                        await self._ledger.nudge()
                    await asyncio.sleep(_DRAIN_SECONDS)
        except TimeoutError:
            left = await self._ledger.open_items()
            raise AssertionError(
                f"not through after {within:g} s: {self.accepted} of {self.load.plan.messages} "
                f"answered, {self.arrived} arrived, {left} still in the relay"
            ) from None
        return Count.of(
            sent,
            self.sink.arrivals,
            await self._ledger.events(self._since),
            await self._ledger.delivered_twice(self._since),
            time.monotonic() - self._began,
        )

    async def tell(self, say: Callable[[str], None], every: float) -> None:
        """Say how far it is every so many seconds, until cancelled."""
        while True:
            await asyncio.sleep(every)
            say(
                f"{time.monotonic() - self._began:6.0f} s  {self.accepted:6d} accepted"
                f"  {self.arrived:6d} arrived"
            )

    def _raise_failure(self) -> None:
        if self._loading.done():
            self._loading.result()


@asynccontextmanager
async def flowing(
    relay: Relay,
    messages: int,
    *,
    connections: int = 20,
    manners: Manners = _SLOW,
    rate: float = 0.0,
) -> AsyncIterator[Flow]:
    """*messages* being submitted over so many connections by a client that does not give up.

    What is not accepted is sent again until it is. *rate*: messages a second, 0 for as fast as
    they are taken.
    """
    plan = Plan(
        relay.customer.normal,
        messages=messages,
        connections=connections,
        size=2048,
        sender=f"news@{SENDER_DOMAIN}",
        rate=rate,
        persist=True,
    )
    load = Load(plan)
    async with Sink(manners, port=relay.sink_port) as sink:
        ledger = Ledger(relay.database_url)
        since = await ledger.now()
        loading = asyncio.create_task(load.run())
        try:
            yield Flow(load, loading, sink, ledger, since)
        finally:
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
