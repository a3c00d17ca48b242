"""The parent process of `posthouse up`: it keeps PostgreSQL and the workers running."""

import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from ingest.listeners import Listener
from ingest.listening_sockets import Sockets, bind, found
from onebox.all_settings import UpSettings, configure_logs
from onebox.installation import Installation
from onebox.postgres_folder import holder
from onebox.postgres_server import EmbeddedPostgres, PostgresError
from onebox.ready_line import ReadyLine, RunningRelay
from onebox.supervisor import Supervisor
from onebox.worker import work
from onebox.worker_process import NotReady, ParentLink, WorkerProcess, fork, spawn
from posthouse.running.health import Check, Health
from posthouse.running.http_server import CannotListen
from posthouse.running.service import Service, main, run
from posthouse.running.tcp import Endpoint
from posthouse.store import StoreRefused, StoreUnavailable
from posthouse.store.migrate import migrate
from posthouse.store.postgres import Postgres
from posthouse.store.secret_check import WrongSecretKey, keep_secret_check

# After the grace period workers have this long to give back their work and end.
_ENDING_SECONDS = 5.0
# Connections of a worker beside its two pools: watchdogs of ingest and of bounces, and one that
# relieves a full disk. Housekeeping of the worker in charge has more.
_BESIDE_POOLS = 3
_IN_CHARGE = 4

_NOT_STARTED = (
    PostgresError,
    StoreUnavailable,
    StoreRefused,
    WrongSecretKey,
    CannotListen,
    NotReady,
)

log = structlog.get_logger()


def run_relay(settings: UpSettings, environ: Mapping[str, str]) -> int:
    """Run the whole relay until a signal; the exit status. *settings* were read from *environ*."""
    try:
        sockets = bind(settings.ingest.ingest_listeners, processes=settings.workers)
    except CannotListen as error:
        sys.stderr.write(f"{error}{_who_may_listen(settings.installation)}\n")
        return 1
    forked = fork(settings.workers)
    configure_logs(settings)
    if isinstance(forked, ParentLink):
        return main(work(settings, forked, _own_sockets(sockets, forked.number)))
    at = found(settings.ingest.ingest_listeners, sockets[0])
    _own_sockets(sockets, 0)
    return main(Parent(settings, environ, at).run(forked))


def _who_may_listen(installation: Installation) -> str:
    folder = installation.database_folder
    process = None if folder is None else holder(folder)
    return "" if process is None else f": a Posthouse (process {process}) already runs on this data"


def _own_sockets(sockets: Sequence[Sockets], number: int) -> Sockets:
    """The sockets of the process with that *number*, from 1; those of the others are closed."""
    for owner, others in enumerate(sockets, start=1):
        if owner != number:
            for of_listener in others:
                for one in of_listener:
                    one.close()
    return sockets[number - 1] if number else ()


class Parent:
    """Database, workers, health checks."""

    def __init__(
        self, settings: UpSettings, environ: Mapping[str, str], submission: Sequence[Listener]
    ) -> None:
        """*submission*: where clients connect, with the ports that were found."""
        self._settings = settings
        self._environ = environ
        self._submission = submission
        self._listening: Mapping[str, Endpoint] = {}

    async def run(self, workers: Sequence[WorkerProcess]) -> int:
        """Keep database and workers running until a signal; the exit status."""
        common = self._settings.ingest
        supervisor = Supervisor(workers, self._replace)
        try:
            async with AsyncExitStack() as stack:
                stack.callback(supervisor.signal_all, signal.SIGKILL)
                postgres, url = await _database(self._settings, stack)
                await _prepare(url, common.secret_key.get_secret_value(), postgres)
                self._listening = await supervisor.start(url)
                checks = supervisor.checks()
                if postgres is not None:
                    checks["data folder"] = _folder_check(postgres)
                health = Health(common.health_listen, checks, supervisor.metrics)
                relay = RunningRelay(
                    self._settings, self._submission, self._listening, supervisor.pids, postgres
                )
                services: dict[str, Service] = {
                    "workers": supervisor,
                    "ready": ReadyLine(relay, health),
                }
                if postgres is not None:
                    services["postgres"] = _DatabaseOf(supervisor, postgres)
                grace = common.grace_seconds + _ENDING_SECONDS
                return await run(services, health=health, grace=grace)
        except _NOT_STARTED as error:
            log.error("not_started", reason=str(error))  # noqa: TRY400 -- the text says all
            return 1

    def _replace(self, number: int) -> WorkerProcess:
        """A worker on the addresses that the others have, ports that were asked for as 0 too."""
        found = {
            "POSTHOUSE_INGEST_LISTENERS": ",".join(map(str, self._submission)),
            **{f"POSTHOUSE_{n.upper()}_LISTEN": str(at) for n, at in self._listening.items()},
        }
        return spawn(number, {**self._environ, **found})


@dataclass(frozen=True, slots=True)
class _DatabaseOf:
    """Keeps the database running for as long as a worker needs it, also after a signal."""

    supervisor: Supervisor
    postgres: EmbeddedPostgres

    async def run(self, stopping: asyncio.Event) -> None:
        """Return when all workers have ended."""
        del stopping
        await self.postgres.run(self.supervisor.all_ended)


def _folder_check(postgres: EmbeddedPostgres) -> Check:
    """Not ready when the data folder was deleted or moved beneath a running database."""
    started_on = postgres.folder_identity

    async def check() -> None:
        try:
            found = postgres.folder_identity
        except OSError as error:
            raise NotReady(f"{error.filename}: {error.strerror}") from None
        if found != started_on:
            raise NotReady("it is not the folder that the database was started on")

    return check


def _connections(settings: UpSettings) -> int:
    """How many connections to the database all workers may have open together."""
    pools = 2 * settings.ingest.database_pool_size
    return settings.workers * (pools + _BESIDE_POOLS) + _IN_CHARGE + 1


async def _database(
    settings: UpSettings, stack: AsyncExitStack
) -> tuple[EmbeddedPostgres | None, str]:
    installation = settings.installation
    if installation.database_url is not None:
        return None, installation.database_url
    postgres = await installation.start_server(_connections(settings))
    stack.push_async_callback(postgres.stop)
    return postgres, postgres.dsn


async def _prepare(url: str, secret_key: bytes, postgres: EmbeddedPostgres | None) -> None:
    """Migrate the database; raises WrongSecretKey when it was set up with another key."""
    await migrate(url, folder=None if postgres is None else postgres.folder_identity)
    async with Postgres(url, connections=1) as database:
        await keep_secret_check(database, secret_key)
        if postgres is not None:
            # No other process works on this database: the owners of leases are dead.
            await database.run("end_submission_leases")
            await database.run("end_delivery_leases")
