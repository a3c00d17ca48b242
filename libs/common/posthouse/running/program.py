"""A service as a program of its own: its settings, its resources, how it is built and run."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import structlog
from pydantic import SecretStr

from posthouse.broker import Broker, BrokerState, BrokerUnavailable
from posthouse.running import logs
from posthouse.running.common_settings import (
    Common,
    WithBroker,
    WithDatabase,
    WithReturnPathHost,
    WithSecretKey,
    WithTrackingUrl,
)
from posthouse.running.health import Check, Health
from posthouse.running.http_server import CannotListen
from posthouse.running.retention_settings import WithRetention
from posthouse.running.service import Service, main, run
from posthouse.running.settings import SettingsError, load
from posthouse.running.traces import Traces, WithTraces, sample_of, traces_of
from posthouse.store import StoreUnavailable
from posthouse.store.deliveries import ClaimedDelivery
from posthouse.store.direct_handoff import DirectHandoff
from posthouse.store.housekeeping import Housekeeping
from posthouse.store.migrate import NEEDED_VERSION
from posthouse.store.postgres import Postgres
from posthouse.store.relay_names import NameOnRecord, RelayName
from posthouse.store.retention import Retention
from posthouse.store.secret_check import WrongSecretKey, keep_secret_check
from posthouse.store.submissions import ClaimedSubmission

# How long a program waits for a database that does not answer, or has an old schema, at its start.
_SCHEMA_SECONDS = 60.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Resources:
    """What the services of a process share: database, broker, disk."""

    database: Postgres
    background: Postgres  # the same database; a crash may undo what was written through it
    broker: Broker
    # Handoffs to the next service, if that is in this process.
    accepted: DirectHandoff[ClaimedSubmission] = field(default_factory=DirectHandoff)
    prepared: DirectHandoff[ClaimedDelivery] = field(default_factory=DirectHandoff)
    disk: Path | None = None  # the data folder of PostgreSQL, if it is on this machine
    traces: Traces | None = None  # None: nobody wants any


@dataclass(frozen=True, slots=True)
class Services:
    """What `build` of a service returns: all that is to run, and what its readiness depends on."""

    by_name: Mapping[str, Service]
    checks: Mapping[str, Check]


class ProgramSettings(Common, WithDatabase, WithBroker, WithRetention, WithTraces):
    """The settings of every service program."""


S = TypeVar("S", bound=ProgramSettings)


@asynccontextmanager
async def open_resources(
    settings: ProgramSettings,
    broker: Broker,
    service: str = "posthouse",
    *,
    disk: Path | None = None,
) -> AsyncIterator[Resources]:
    """Connections to the database, beside *broker*; *service* is what traces call this process."""
    traces = traces_of(settings, service)
    url = settings.database_url.get_secret_value()
    size = settings.database_pool_size
    async with (
        Postgres(url, connections=size) as database,
        Postgres(url, connections=size, background=True) as background,
    ):
        try:
            yield Resources(database, background, broker, disk=disk, traces=traces)
        finally:
            if traces is not None:
                await traces.close()


def database_check(resources: Resources) -> Check:
    """Ready when the database answers."""

    async def check() -> None:
        await resources.database.run("round_trip")

    return check


def broker_check(broker: Broker) -> Check:
    """Ready when the broker is there; ingest and bounces go on without it."""

    async def check() -> None:
        if broker.state is not BrokerState.CONNECTED:
            raise BrokerUnavailable(f"the broker is {broker.state}")

    return check


def housekeeping(settings: ProgramSettings, resources: Resources) -> Housekeeping:
    """Housekeeping, which every process runs beside its service; one of them does the work."""
    retention = Retention(
        bodies=timedelta(hours=settings.body_retention_hours),
        history=timedelta(days=settings.history_retention_days),
        links=timedelta(days=settings.link_retention_days),
        visits=_days(settings.visit_retention_days),
        audit=_days(settings.audit_retention_days),
    )
    return Housekeeping(resources.database, retention, disk=resources.disk)


def _days(count: int | None) -> timedelta | None:
    return None if count is None else timedelta(days=count)


def name_on_record(program: str, settings: ProgramSettings, resources: Resources) -> NameOnRecord:
    """What tells the commands how the relay is called."""
    returned = settings.return_path_host if isinstance(settings, WithReturnPathHost) else None
    tracking = settings.tracking_host if isinstance(settings, WithTrackingUrl) else None
    name = RelayName(program, settings.hostname, returned, tracking)
    return NameOnRecord(resources.database, name)


def rabbitmq(urls: Sequence[SecretStr]) -> Broker:
    """The broker at *urls*, the nodes of one cluster; it connects when it is run."""
    from posthouse.broker.rabbitmq import RabbitMqBroker  # noqa: PLC0415 -- `up` starts without

    return RabbitMqBroker(*(url.get_secret_value() for url in urls))


def run_program(
    name: str,
    model: type[S],
    build: Callable[[S, Resources], Services],
    *,
    also_known: Callable[[], Collection[str]] = frozenset,
) -> int:
    """Run the service *name* on RabbitMQ until a signal; the exit status."""
    try:
        settings = load(model, os.environ, also_known=also_known)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logs.configure(
        name,
        level=settings.log_level,
        form=settings.log_format,
        addresses=settings.log_addresses,
        traced=sample_of(settings),
    )
    return main(_run(name, settings, build))


async def _run(name: str, settings: S, build: Callable[[S, Resources], Services]) -> int:
    broker = rabbitmq(settings.broker_url)
    try:
        async with open_resources(settings, broker, f"posthouse-{name}") as resources:
            await resources.database.wait_for_schema(NEEDED_VERSION, seconds=_SCHEMA_SECONDS)
            if isinstance(settings, WithSecretKey):
                await keep_secret_check(resources.database, settings.secret_key.get_secret_value())
            called = name_on_record(name, settings, resources)
            await called.say()
            built = build(settings, resources)
            health = Health(
                settings.health_listen, {"database": database_check(resources), **built.checks}
            )
            services = {
                "broker": broker,
                **built.by_name,
                "housekeeping": housekeeping(settings, resources),
                "relay-name": called,
            }
            return await run(services, health=health, grace=settings.grace_seconds)
    except (StoreUnavailable, WrongSecretKey, CannotListen) as error:
        log.error("not_started", reason=str(error))  # noqa: TRY400 -- the text says all
        await asyncio.sleep(0)
        return 1
