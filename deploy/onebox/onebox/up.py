"""`posthouse up`: all services in one process on an embedded PostgreSQL, or on servers given."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import structlog
from pydantic import SecretStr

from bounces.listener import ReturnListener
from bounces.settings import BouncesSettings
from bounces.wiring import wire as wire_bounces
from dispatcher.settings import DispatcherSettings
from dispatcher.wiring import wire as wire_dispatcher
from ingest.service import IngestService
from ingest.settings import IngestSettings
from ingest.wiring import wire as wire_ingest
from onebox.place import NoPlace, Place, PlaceSettings
from onebox.postgres import EmbeddedPostgres, PostgresError
from policy.settings import PolicySettings
from policy.wiring import wire as wire_policy
from posthouse.broker import Broker
from posthouse.broker.embedded import EmbeddedBroker
from posthouse.broker.rabbitmq import RabbitMqBroker
from posthouse.running import logs
from posthouse.running.health import CannotListen, Health
from posthouse.running.program import Wired, backing, database_check
from posthouse.running.service import Service, main, run
from posthouse.running.settings import Settings, SettingsError, load, names
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.migrate import migrate
from posthouse.store.postgres import Postgres

# Messages between intake and delivery are remembered up to this many octets, so that one process
# does not read back what it just wrote.
_REMEMBERED = 64 << 20

_MODELS = (IngestSettings, PolicySettings, DispatcherSettings, BouncesSettings, PlaceSettings)

log = structlog.get_logger()
S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True)
class UpSettings:
    """What each service was told."""

    place: Place
    broker_url: str | None  # None: the broker is in this process
    ingest: IngestSettings
    policy: PolicySettings
    dispatcher: DispatcherSettings
    bounces: BouncesSettings


def read_settings(environ: Mapping[str, str]) -> UpSettings:
    """Settings for every service out of one environment; SettingsError lists all mistakes.

    What the data folder provides need not be given: database, secret key, certificate.
    """
    known = known_names()
    place = Place.told(load(PlaceSettings, environ, also_known=known))
    given = _completed(place, environ)
    mistakes: set[str] = set()

    def read(model: type[S]) -> S | None:
        try:
            return load(model, given, also_known=known)
        except SettingsError as error:
            mistakes.update(error.mistakes)
            return None

    found = [read(model) for model in _MODELS[:4]]
    if mistakes:
        raise SettingsError(sorted(mistakes))
    return UpSettings(place, environ.get("POSTHOUSE_BROKER_URL"), *found)  # type: ignore[arg-type]


def known_names() -> frozenset[str]:
    """Every variable that any program of the product reads."""
    return frozenset().union(*(names(model) for model in _MODELS))


def _completed(place: Place, environ: Mapping[str, str]) -> dict[str, str]:
    given = dict(environ)
    if not any(name in given for name in ("POSTHOUSE_SECRET_KEY", "POSTHOUSE_SECRET_KEY_FILE")):
        given["POSTHOUSE_SECRET_KEY_FILE"] = str(place.secret_key_file)
    given.setdefault("POSTHOUSE_DATABASE_URL", "postgresql:///posthouse")
    given.setdefault("POSTHOUSE_BROKER_URL", "amqp:///")
    for service in ("INGEST", "BOUNCES"):
        given.setdefault(f"POSTHOUSE_{service}_TLS_CERTIFICATE", str(place.certificate_file))
        given.setdefault(f"POSTHOUSE_{service}_TLS_KEY", str(place.certificate_key_file))
    return given


def run_up(environ: Mapping[str, str]) -> int:
    """Run the whole relay until a signal; the exit status."""
    try:
        place = Place.told(load(PlaceSettings, environ, also_known=known_names()))
        place.ensure(environ.get("POSTHOUSE_HOSTNAME", "localhost"))
        settings = read_settings(environ)
    except (SettingsError, NoPlace) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logs.configure(
        "posthouse",
        level=settings.ingest.log_level,
        form=settings.ingest.log_format,
        stream=sys.stderr,
    )
    return main(_run(settings))


async def _run(settings: UpSettings) -> int:
    try:
        async with AsyncExitStack() as stack:
            postgres, url = await _database(settings.place, stack)
            await migrate(url)
            if postgres is not None:
                await _end_leases(url)
            broker = await stack.enter_async_context(_broker(settings.broker_url))
            told = settings.ingest.model_copy(update={"database_url": SecretStr(url)})
            behind = await stack.enter_async_context(backing(told, broker, recent=_REMEMBERED))
            wired = [
                wire_ingest(settings.ingest, behind),
                wire_policy(settings.policy, behind),
                wire_dispatcher(settings.dispatcher, behind),
                wire_bounces(settings.bounces, behind),
            ]
            checks = {name: check for w in wired for name, check in w.checks.items()}
            health = Health(
                settings.ingest.health_listen, {"database": database_check(behind), **checks}
            )
            services: dict[str, Service] = {n: s for w in wired for n, s in w.services.items()}
            services["ready"] = _Ready(settings, wired, health, postgres)
            if postgres is not None:
                services["postgres"] = postgres
            return await run(services, health=health, grace=settings.ingest.grace_seconds)
    except (PostgresError, StoreUnavailable, StoreRefused, CannotListen) as error:
        log.error("not_started", reason=str(error))  # noqa: TRY400 -- the text says all
        return 1


async def _database(place: Place, stack: AsyncExitStack) -> tuple[EmbeddedPostgres | None, str]:
    if place.database_url is not None:
        return None, place.database_url
    postgres = await place.start_server()
    stack.push_async_callback(postgres.stop)
    return postgres, postgres.dsn


async def _end_leases(url: str) -> None:
    """Nobody else works on this database: whoever held a lease is dead; no need to wait for it."""
    async with Postgres(url, connections=1) as database:
        await database.run("end_submission_leases")
        await database.run("end_delivery_leases")


@asynccontextmanager
async def _broker(url: str | None) -> AsyncIterator[Broker]:
    opening = EmbeddedBroker.open() if url is None else RabbitMqBroker.open(url)
    async with opening as broker:
        yield broker


class _Ready:
    """Says where everything is, in one JSON line, once everything is there."""

    def __init__(
        self,
        settings: UpSettings,
        wired: list[Wired],
        health: Health,
        postgres: EmbeddedPostgres | None,
    ) -> None:
        self._settings = settings
        self._services = {n: s for w in wired for n, s in w.services.items()}
        self._health = health
        self._postgres = postgres

    async def run(self, stopping: asyncio.Event) -> None:
        """Print the line, then wait."""
        sys.stdout.write(msgspec.json.encode(await self._line()).decode() + "\n")
        sys.stdout.flush()
        await stopping.wait()

    async def _line(self) -> dict[str, Any]:
        ingest, bounces = self._services["ingest"], self._services["bounces"]
        assert isinstance(ingest, IngestService)
        assert isinstance(bounces, ReturnListener)
        listeners = zip(self._settings.ingest.ingest_listeners, ingest.addresses, strict=True)
        pids = dict.fromkeys(("ingest", "policy", "dispatcher", "bounces"), os.getpid())
        if self._postgres is not None:
            pids["postgres"] = self._postgres.pid
        return {
            "event": "ready",
            "submission": [
                {"host": at.host, "port": at.port, "tls": listener.tls.value}
                for listener, at in listeners
            ],
            "bounces": _address(await bounces.address()),
            "health": _address(self._health.address),
            "data": str(self._settings.place.folder.absolute()),
            "pids": pids,
        }


def _address(endpoint: Any) -> dict[str, Any]:
    return {"host": endpoint.host, "port": endpoint.port}
