"""Where an installation lives: its folder, its secret key, its certificate, its database."""

import asyncio
import base64
import contextlib
import fcntl
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from onebox.installation_settings import InstallationSettings
from onebox.postgres_data import data_of
from onebox.postgres_folder import FolderInUse, dsn
from onebox.postgres_server import EmbeddedPostgres
from onebox.written_file import write_file
from posthouse.mail.secret import KEY_OCTETS
from posthouse.store.migrate import NEEDED_VERSION, migrate
from posthouse.store.postgres import Postgres
from posthouse.store.secret_check import knows_secret_key

_CONNECT_SECONDS = 5.0
_STARTING_SECONDS = 60.0  # how long another process may take to start the database
_GUESTS_SECONDS = 30.0  # how long other commands may go on using the database we started
_POLL_SECONDS = 0.05
_CONNECTIONS = 3
_OWN_CONNECTIONS = 10  # for a caller that says nothing: a restore, which needs one
_COMMAND_CONNECTIONS = 30  # for commands, `psql` and backups beside a relay


class NoInstallation(Exception):
    """There is no installation here, or it cannot be used."""


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation: everything is in *folder*, except what the settings name elsewhere."""

    folder: Path
    database_url: str | None = None  # None: the PostgreSQL in the folder
    given_key: bytes | None = None  # None: the secret key in the folder

    @classmethod
    def from_settings(
        cls, settings: InstallationSettings, folder: Path | None = None
    ) -> "Installation":
        """The installation that *settings* name; *folder* overrides theirs."""
        url, key = settings.database_url, settings.secret_key
        return cls(
            folder or settings.data,
            None if url is None else url.get_secret_value(),
            None if key is None else key.get_secret_value(),
        )

    @property
    def secret_key_file(self) -> Path:
        """Holds the secret key in base64, as POSTHOUSE_SECRET_KEY_FILE wants it."""
        return self.folder / "secret.key"

    @property
    def postgres_folder(self) -> Path:
        """For `EmbeddedPostgres`."""
        return self.folder / "postgres"

    @property
    def database_folder(self) -> Path | None:
        """The folder that the database writes to; None if that is on another server."""
        return self.postgres_folder if self.database_url is None else None

    @property
    def certificate_file(self) -> Path:
        """The certificate in PEM."""
        return self.folder / "tls.crt"

    @property
    def certificate_key_file(self) -> Path:
        """The certificate's private key in PEM."""
        return self.folder / "tls.key"

    @property
    def secret_key(self) -> bytes:
        """The secret key, from which all keys are derived; raises NoInstallation without one."""
        if self.given_key is not None:
            return self.given_key
        try:
            key = base64.b64decode(self.secret_key_file.read_bytes())
        except FileNotFoundError:
            raise NoInstallation(self._nothing_here()) from None
        except (OSError, ValueError) as error:
            raise NoInstallation(f"cannot read {self.secret_key_file}: {error}") from error
        if len(key) < KEY_OCTETS:
            raise NoInstallation(f"{self.secret_key_file} is damaged: it holds {len(key)} octets")
        return key

    async def refuse_lost_key(self) -> None:
        """Raise NoInstallation if the secret key of a database elsewhere is not here any more.

        To be called before `ensure`, which would make another one. Raises StoreUnavailable.
        """
        if self.given_key is not None or self.secret_key_file.exists():
            return
        if self.database_url is not None and await knows_secret_key(self.database_url):
            raise NoInstallation(
                f"{self.secret_key_file} is missing, and the database was set up with a secret "
                "key: put your copy back; nothing was made"
            )

    def ensure(self, hostname: str) -> tuple[Path, ...]:
        """Make folder, secret key and certificate if they are missing; the names of those made.

        Existing ones are left alone, even if the certificate is for another *hostname*. Raises
        NoInstallation.
        """
        try:
            return tuple(self._ensure(hostname))
        except OSError as error:
            reason = error.strerror or str(error)
            raise NoInstallation(
                f"cannot make {error.filename or self.folder}: {reason}"
            ) from error

    def _ensure(self, hostname: str) -> Iterator[Path]:
        if not self.folder.is_dir():
            # If root may not use namespaces, its PostgreSQL runs as another user, who has to
            # get through; every file inside is closed to others.
            self.folder.mkdir(0o711 if os.geteuid() == 0 else 0o700, parents=True)
            yield self.folder
        if self.given_key is None and not self.secret_key_file.exists():
            if self.database_url is None and data_of(self.postgres_folder).exists():
                raise NoInstallation(
                    f"{self.secret_key_file} is missing, and the database in {self.folder} was "
                    "set up with it: put your copy back"
                )
            write_file(
                self.secret_key_file, base64.b64encode(secrets.token_bytes(KEY_OCTETS)) + b"\n"
            )
            yield self.secret_key_file
        if not (self.certificate_file.exists() and self.certificate_key_file.exists()):
            from onebox.self_signed import self_signed  # noqa: PLC0415 -- X.509: once in a folder

            certificate, key = self_signed(hostname, datetime.now(UTC))
            write_file(self.certificate_key_file, key)
            write_file(self.certificate_file, certificate, mode=0o644)
            yield self.certificate_file
            yield self.certificate_key_file

    @asynccontextmanager
    async def open_store(self) -> AsyncIterator[Postgres]:
        """The database, migrated and answering; started if need be, for as long as we use it.

        Raises NoInstallation, PostgresError, StoreUnavailable, StoreRefused.
        """
        async with (
            self.open_database() as (url, patience),
            Postgres(url, connections=_CONNECTIONS) as database,
        ):
            await database.wait_for_schema(NEEDED_VERSION, seconds=patience)
            yield database

    @asynccontextmanager
    async def open_database(self) -> AsyncIterator[tuple[str, float]]:
        """URL of the database, and the seconds that its owner may take to migrate it."""
        if self.database_url is not None:
            yield self.database_url, 0.0
            return
        if self.given_key is None and not self.secret_key_file.exists():
            raise NoInstallation(self._nothing_here())
        with self._as_guest() as lock:
            server = await self._visit_or_start()
            if server is None:
                yield dsn(self.postgres_folder.absolute()), _STARTING_SECONDS
                return
            try:
                await migrate(server.dsn, folder=server.folder_identity)
                yield server.dsn, 0.0
            finally:
                await _guests_have_left(lock)
                await server.stop()

    async def start_server(self, connections: int = _OWN_CONNECTIONS) -> EmbeddedPostgres:
        """Start the folder's PostgreSQL for the relay itself, after the commands that use it.

        It takes up to *connections* at one time, and some of commands. The caller stops it. Raises
        FolderInUse when another relay works here, PostgresError.
        """
        with self._as_guest() as lock:
            await _guests_have_left(lock)  # and no other comes in before we have started
            most = {"max_connections": str(connections + _COMMAND_CONNECTIONS)}
            server = EmbeddedPostgres(self.postgres_folder, options=most)
            await server.start()
            return server

    async def _visit_or_start(self) -> EmbeddedPostgres | None:
        """The server that we started, or None if another process has started it."""
        end = asyncio.get_running_loop().time() + _STARTING_SECONDS
        while True:
            if await _answers(dsn(self.postgres_folder.absolute())):
                return None
            server = EmbeddedPostgres(self.postgres_folder)
            try:
                await server.start()
            except FolderInUse:
                if asyncio.get_running_loop().time() > end:
                    raise
                await asyncio.sleep(_POLL_SECONDS)
            else:
                return server

    @contextmanager
    def _as_guest(self) -> Iterator[int]:
        """Be counted as a user of the database: a command that started it waits for us."""
        path = self.folder / "commands.lock"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise NoInstallation(f"cannot use {path}: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield lock
        finally:
            os.close(lock)

    def _nothing_here(self) -> str:
        return (
            f"there is no Posthouse in {self.folder.absolute()}: run `posthouse init` or "
            "`posthouse up` first, or say where it is with --data or POSTHOUSE_DATABASE_URL"
        )


async def _answers(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url, timeout=_CONNECT_SECONDS)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    await connection.close()
    return True


async def _guests_have_left(lock: int) -> None:
    """Wait for the other commands that use the server that we are about to stop."""
    end = asyncio.get_running_loop().time() + _GUESTS_SECONDS
    while asyncio.get_running_loop().time() < end:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        await asyncio.sleep(_POLL_SECONDS)
