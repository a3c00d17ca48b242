"""What one forked process of `posthouse up` does: every service, on a database that is given."""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack

import structlog
from prometheus_client import REGISTRY, generate_latest
from pydantic import SecretStr

from bounces.return_listener import ReturnListener
from bounces.wiring import wire as wire_bounces
from dispatcher.wiring import wire as wire_dispatcher
from ingest.wiring import wire as wire_ingest
from onebox.all_settings import UpSettings
from onebox.channel import Channel, PeerGone
from onebox.supervisor import Forked
from policy.wiring import wire as wire_policy
from posthouse.broker import Broker
from posthouse.broker.embedded import EmbeddedBroker
from posthouse.running.health import CannotListen, Health
from posthouse.running.program import backing, rabbitmq
from posthouse.running.service import Service, run

log = structlog.get_logger()


async def work(settings: UpSettings, forked: Forked, sockets: Sequence[socket.socket]) -> int:
    """Serve clients on *sockets* and do all that follows, until a signal; the exit status.

    Nothing is touched before the parent says which database it is.
    """
    try:
        async with AsyncExitStack() as stack:
            number, _, url = await forked.parent.heard()
            told = settings.ingest.model_copy(update={"database_url": SecretStr(url)})
            broker = _broker(settings)
            disk = settings.place.database_folder
            behind = await stack.enter_async_context(backing(told, broker, disk=disk))
            wired = [
                wire_ingest(settings.ingest, behind, sockets),
                wire_policy(settings.policy, behind),
                wire_dispatcher(settings.dispatcher, behind),
                *([wire_bounces(settings.bounces, behind)] if forked.number == 1 else []),
            ]
            services: dict[str, Service] = {"broker": broker}
            services |= {n: s for w in wired for n, s in w.services.items()}
            checks = {name: check for w in wired for name, check in w.checks.items()}
            health = Health(told.health_listen, checks)
            returned = services.get("bounces")
            assert returned is None or isinstance(returned, ReturnListener)
            services["parent"] = _Parent(forked.parent, number, health, returned)
            return await run(services, health=None, grace=told.grace_seconds)
    except CannotListen as error:
        log.error("not_started", reason=str(error))  # noqa: TRY400 -- the text says all
        return 1
    except PeerGone:
        return 1


def _broker(settings: UpSettings) -> Broker:
    urls = settings.broker_url
    return rabbitmq(urls) if urls else EmbeddedBroker()


class _Parent:
    """Tells the parent that we have started, and then whatever it asks."""

    def __init__(
        self, channel: Channel, number: int, health: Health, returned: ReturnListener | None
    ) -> None:
        self._channel = channel
        self._number = number
        self._health = health
        self._returned = returned

    async def run(self, stopping: asyncio.Event) -> None:
        """Answer until *stopping*."""
        answering = asyncio.create_task(self._answer())
        ending = asyncio.create_task(stopping.wait())
        await asyncio.wait([answering, ending], return_when=asyncio.FIRST_COMPLETED)
        for task in (answering, ending):
            task.cancel()
        await asyncio.gather(answering, ending, return_exceptions=True)

    async def _answer(self) -> None:
        at = await self._returned.address() if self._returned else None
        await self._channel.answer(self._number, None if at is None else str(at))
        while True:
            number, question, _ = await self._channel.heard()
            answer: object = (
                generate_latest(REGISTRY).decode()
                if question == "metrics"
                else await self._health.findings()
            )
            await self._channel.answer(number, answer)
