"""Hints between services: a small port with two implementations.

PostgreSQL keeps the work; a hint only wakes waiting workers. It says that something in a lane
may be due. It carries no id, no count and no body. It may be lost, doubled or late, because workers
also look for work by themselves: see `posthouse.running.waiting`.
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from posthouse.mail.lane import Lane


class BrokerUnavailable(Exception):
    """Hints do not flow; the text says why."""


Heard = Callable[[Lane], None]
"""What a listener does about a hint; it neither waits nor raises."""


class Topic(StrEnum):
    """The work that a hint is about."""

    SUBMISSIONS = "submissions"  # for policy
    DELIVERIES = "deliveries"  # for dispatchers


class BrokerState(StrEnum):
    """Whether hints flow."""

    AWAY = "away"  # not connected; we keep trying
    BLOCKED = "blocked"  # connected, but the broker accepts nothing (memory or disk alarm)
    CONNECTED = "connected"  # and every listener is subscribed


class Broker(Protocol):
    """Tells every listener, in all processes, that there is work."""

    def announce(self, topic: Topic, lane: Lane) -> None:
        """Tell the listeners of *topic* that something in *lane* became due.

        Call it after the commit that made it true. Never waits and never raises: a hint that cannot
        be sent is dropped. Hints that follow each other closely may be sent as one.
        """

    def listen(self, topic: Topic, heard: Heard) -> None:
        """Call *heard* for each hint of *topic* from now on; call this before `run`."""

    @property
    def state(self) -> BrokerState:
        """Whether hints flow now."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Stay connected until *stopping*; without it nothing is sent between processes."""
