"""`posthouse up`: all services in one process on an embedded PostgreSQL, or on servers given."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import structlog
from pydantic import SecretStr

from bounces.listener import ReturnListener
from bounces.wiring import wire as wire_bounces
from dispatcher.wiring import wire as wire_dispatcher
from ingest.service import IngestService
from ingest.wiring import wire as wire_ingest
from onebox.place import NoPlace, Place
from onebox.postgres import EmbeddedPostgres, PostgresError
from onebox.up_settings import UpSettings, read_settings
from policy.wiring import wire as wire_policy
from posthouse.broker import Broker
from posthouse.broker.embedded import EmbeddedBroker
from posthouse.running import logs
from posthouse.running.endpoint import Endpoint
from posthouse.running.health import CannotListen, Health
from posthouse.running.program import Wired, backing, database_check, open_rabbitmq
from posthouse.running.service import Service, main, run
from posthouse.running.settings import SettingsError
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.migrate import migrate
from posthouse.store.postgres import Postgres

# Messages between intake and delivery are remembered up to this many octets, so that one process
# does not read back what it just wrote.
_REMEMBERED = 64 << 20

log = structlog.get_logger()


def run_up(environ: Mapping[str, str]) -> int:
    """Run the whole relay until a signal; the exit status."""
    try:
        settings = read_settings(environ)
        settings.place.ensure(settings.ingest.hostname)
        settings = read_settings(environ)  # now with the secret key that may just have been made
    except (SettingsError, NoPlace) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    common = settings.ingest
    logs.configure("posthouse", level=common.log_level, form=common.log_format, stream=sys.stderr)
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
            health = Health(told.health_listen, {"database": database_check(behind), **checks})
            services: dict[str, Service] = {n: s for w in wired for n, s in w.services.items()}
            services["ready"] = _Ready(settings, wired, health, postgres)
            if postgres is not None:
                services["postgres"] = postgres
            return await run(services, health=health, grace=told.grace_seconds)
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
async def _broker(urls: Sequence[SecretStr] | None) -> AsyncIterator[Broker]:
    async with EmbeddedBroker.open() if urls is None else open_rabbitmq(urls) as broker:
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
        """Print the line, and the same for people where people read; then wait."""
        facts = await self._facts()
        sys.stdout.write(msgspec.json.encode(facts).decode() + "\n")
        sys.stdout.flush()
        if sys.stderr.isatty():
            sys.stderr.write(_readable(facts))
        await stopping.wait()

    async def _facts(self) -> dict[str, Any]:
        ingest, bounces = self._services["ingest"], self._services["bounces"]
        assert isinstance(ingest, IngestService)
        assert isinstance(bounces, ReturnListener)
        listeners = zip(self._settings.ingest.ingest_listeners, ingest.addresses, strict=True)
        pids = dict.fromkeys(("ingest", "policy", "dispatcher", "bounces"), os.getpid())
        if self._postgres is not None:
            pids["postgres"] = self._postgres.pid
        folder = str(self._settings.place.folder.absolute())
        return {
            "event": "ready",
            "submission": [
                {**_address(at), "tls": listener.tls.value} for listener, at in listeners
            ],
            "bounces": _address(await bounces.address()),
            "health": _address(self._health.address),
            "data": folder,
            "pids": pids,
            "credential": f"posthouse --data {folder} credential create --domain example.com",
        }


def _address(endpoint: Endpoint) -> dict[str, Any]:
    return {"host": endpoint.host, "port": endpoint.port}


def _readable(facts: Mapping[str, Any]) -> str:
    lines = ["", "Posthouse is ready."]
    lines += [f"  submission  {at['host']}:{at['port']}  {at['tls']}" for at in facts["submission"]]
    lines += [
        f"  {name:<10}  {facts[name]['host']}:{facts[name]['port']}{rest}"
        for name, rest in (("bounces", ""), ("health", "  /healthz/ready, /metrics"))
    ]
    lines += [f"  data        {facts['data']}", "A user and secret for an application:"]
    return "\n".join([*lines, f"  {facts['credential']}", "Ctrl-C ends it.", "", ""])
