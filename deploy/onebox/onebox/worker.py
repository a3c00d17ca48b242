"""What one worker of `posthouse up` does: it runs every service, on the database it is given.

`python -m onebox.worker` is how a worker that replaces a dead one is started.
"""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Protocol, runtime_checkable

import structlog
from prometheus_client import REGISTRY, generate_latest
from pydantic import SecretStr

from bounces.wiring import build as build_bounces
from console.wiring import build as build_console
from dispatcher.wiring import build_sending
from ingest.listening_sockets import Sockets, join
from ingest.wiring import build as build_ingest
from onebox.all_settings import UpSettings, configure_logs, read_settings
from onebox.channel import Channel, PeerGone
from onebox.installation_plan import installation_plan, with_services
from onebox.postgres_data import data_of
from onebox.worker_process import BREAK_OFF, ParentLink, spawned
from policy.wiring import build as build_policy
from posthouse.broker import Broker
from posthouse.broker.embedded import EmbeddedBroker
from posthouse.inspection.installation_watch import InstallationWatch
from posthouse.running.health import Health
from posthouse.running.http_server import CannotListen
from posthouse.running.program import (
    Resources,
    Services,
    housekeeping,
    name_on_record,
    open_resources,
    rabbitmq,
)
from posthouse.running.service import Service, main, run
from posthouse.running.settings import SettingsError
from posthouse.running.tcp import Endpoint
from posthouse.store.examinations import ExaminationStore
from tracking.wiring import build as build_tracking
from webhooks.wiring import build as build_webhooks

log = structlog.get_logger()


async def work(settings: UpSettings, link: ParentLink, sockets: Sockets) -> int:
    """Serve clients on *sockets* and do all that follows, until a signal; the exit status.

    Nothing is touched before the parent says which database it is.
    """
    try:
        async with AsyncExitStack() as stack:
            number, _, url = await link.channel.next_question()
            told = settings.ingest.model_copy(update={"database_url": SecretStr(url)})
            broker = _broker(settings)
            folder = settings.installation.database_folder
            disk = data_of(folder) if folder else None
            resources = await stack.enter_async_context(open_resources(told, broker, disk=disk))
            built = [
                build_ingest(settings.ingest, resources, sockets),
                build_policy(settings.policy, resources),
                build_sending(settings.dispatcher, resources),
                *(await _only_once(settings, resources, url) if link.number == 1 else ()),
            ]
            services: dict[str, Service] = {"broker": broker}
            services |= {n: s for b in built for n, s in b.by_name.items()}
            checks = {name: check for b in built for name, check in b.checks.items()}
            health = Health(told.health_listen, checks)
            listening = {n: s for n, s in services.items() if isinstance(s, Listening)}
            services["housekeeping"] = housekeeping(settings.dispatcher, resources)
            services["parent"] = _Parent(link.channel, number, health, listening)
            grace = told.grace_seconds
            return await run(services, health=None, grace=grace, break_off=BREAK_OFF)
    except CannotListen as error:
        log.error("not_started", reason=str(error))  # noqa: TRY400 -- the text says all
        return 1
    except PeerGone:
        return 1


def _broker(settings: UpSettings) -> Broker:
    urls = settings.broker_url
    return rabbitmq(urls) if urls else EmbeddedBroker()


def _doctor(settings: UpSettings, resources: Resources, url: str) -> Service:
    plan = installation_plan(settings.own, settings.installation, os.environ, url)
    store = ExaminationStore(resources.database)
    return InstallationWatch(store, "up", with_services(plan, settings))


async def _only_once(settings: UpSettings, resources: Resources, url: str) -> Sequence[Services]:
    """What runs in one worker, for all of them."""
    called = name_on_record("up", settings.policy, resources)
    await called.say()
    return (
        build_bounces(settings.bounces, resources),
        build_tracking(settings.tracking, resources),
        # Where nobody takes the events, mail is taken all the same.
        Services(build_webhooks(settings.webhooks, resources).by_name, {}),
        build_console(settings.console, resources),
        Services({"relay-name": called, "doctor": _doctor(settings, resources, url)}, {}),
    )


@runtime_checkable
class Listening(Protocol):
    """A service that has an address of its own."""

    async def address(self) -> Endpoint:
        """Where it listens; waits until it does."""


class _Parent:
    """Tells the parent that this worker has started, then answers its questions."""

    def __init__(
        self, channel: Channel, number: int, health: Health, listening: Mapping[str, Listening]
    ) -> None:
        self._channel = channel
        self._number = number
        self._health = health
        self._listening = listening

    async def run(self, stopping: asyncio.Event) -> None:
        """Answer until *stopping*."""
        async with asyncio.TaskGroup() as tasks:
            answering = tasks.create_task(self._answer(), name="answering")
            await stopping.wait()
            answering.cancel()

    async def _answer(self) -> None:
        at = {name: str(await one.address()) for name, one in self._listening.items()}
        await self._channel.answer(self._number, at)
        while True:
            number, question, _ = await self._channel.next_question()
            answer: object = (
                generate_latest(REGISTRY).decode()
                if question == "metrics"
                else await self._health.findings()
            )
            await self._channel.answer(number, answer)


def replacement(number: str, descriptor: str, parent: str) -> int:
    """Work in the place of a worker that has ended; the exit status."""
    link = spawned(number, descriptor, parent)
    try:
        settings = read_settings(os.environ)
        sockets = join(settings.ingest.ingest_listeners)
    except (SettingsError, CannotListen) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    configure_logs(settings)
    return main(work(settings, link, sockets))


if __name__ == "__main__":
    sys.exit(replacement(*sys.argv[1:]))
