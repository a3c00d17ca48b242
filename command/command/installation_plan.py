"""What `posthouse doctor` looks at: all that the environment of the command names."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import zip_longest
from pathlib import Path

from dispatcher.core.static_routes import StaticRoutes
from onebox.all_settings import UpSettings, known_names, read_settings
from onebox.installation import Installation, NoInstallation
from onebox.installation_settings import InstallationSettings
from onebox.postgres_binaries import PostgresError
from onebox.postgres_data import data_of
from onebox.postgres_folder import dsn
from posthouse.doctor.outward_judges import RouteFacts
from posthouse.inspection.inspection import InspectionPlan, SecretPath
from posthouse.running.settings import PREFIX, SettingsError, load
from posthouse.store import StoreUnavailable


@asynccontextmanager
async def opened_plan(
    environ: Mapping[str, str], data: Path | None, *, asks_world: bool
) -> AsyncIterator[InspectionPlan]:
    """The plan, while the database runs, if it can; *data* overrides the folder of *environ*.

    Raises NoInstallation where there is none, and SettingsError where not even the installation's
    own settings can be used.
    """
    own = load(InstallationSettings, environ, also_known=known_names)
    where = Installation.from_settings(own, data)
    told, mistakes = _read({**environ, f"{PREFIX}DATA": str(where.folder)})
    if where.database_url is None and not data_of(where.postgres_folder).exists():
        raise NoInstallation(f"there is no Posthouse in {where.folder.absolute()}")
    async with AsyncExitStack() as stack:
        url = await _database_url(where, stack)
        urls = told.broker_url if told else None
        yield InspectionPlan(
            hostname=own.hostname,
            mistakes=mistakes,
            database_url=url,
            secret_key=_secret_key(where),
            broker_urls=tuple(one.get_secret_value() for one in urls or ()),
            routes=tuple(_routes(told.dispatcher.routes)) if told else None,
            secrets=tuple(_secrets(where, environ)),
            certificates=tuple(dict.fromkeys(_certificates(told, where))) if told else (),
            disks=tuple(path for path in (where.folder,) if path.exists()),
            asks_world=asks_world,
            nameservers=own.nameservers,
            blocklists=own.blocklists,
            probe_domains=own.probe_domains,
            spf_include=own.spf_include,
        )


def _read(environ: Mapping[str, str]) -> tuple[UpSettings | None, tuple[str, ...]]:
    try:
        return read_settings(environ), ()
    except SettingsError as error:
        return None, tuple(error.mistakes)


async def _database_url(where: Installation, stack: AsyncExitStack) -> str | None:
    """Of the database, started if need be, whether it can be or not."""
    if where.database_url is not None:
        return where.database_url
    try:
        url, _ = await stack.enter_async_context(where.open_database())
    except (NoInstallation, PostgresError, StoreUnavailable):
        return dsn(where.postgres_folder.absolute())
    return url


def _secret_key(where: Installation) -> bytes | None:
    try:
        return where.secret_key
    except NoInstallation:
        return None  # its file is looked at, too


def _routes(routes: StaticRoutes) -> Iterator[RouteFacts]:
    if routes.smarthost is not None:
        yield RouteFacts(routes.smarthost.name, routes.smarthost.port)
    for domain, hop in routes.by_domain.items():
        yield RouteFacts(hop.name, hop.port, domain)


def _secrets(where: Installation, environ: Mapping[str, str]) -> Iterator[SecretPath]:
    """Every file with a secret in it that a setting names, and the folder."""
    if where.folder.exists():
        yield SecretPath(where.folder, folder=True)
    named = {n: v for n, v in environ.items() if n.startswith(PREFIX) and n.endswith("_FILE") and v}
    if where.given_key is None and f"{PREFIX}SECRET_KEY_FILE" not in named:
        yield SecretPath(where.secret_key_file)
    for path in dict.fromkeys(named.values()):
        yield SecretPath(Path(path))
    if where.certificate_key_file.exists():
        yield SecretPath(where.certificate_key_file)


def _certificates(told: UpSettings, where: Installation) -> Iterator[tuple[Path, Path]]:
    """Those that settings name; the one in the folder only where it is."""
    chains, keys = told.ingest.ingest_tls_certificate, told.ingest.ingest_tls_key
    pairs = list(zip_longest(chains, keys or chains))
    own = told.bounces.bounces_tls_certificate
    if own is not None:
        pairs.append((own, told.bounces.bounces_tls_key or own))
    for chain, key in pairs:
        if chain != where.certificate_file or chain.exists():
            yield chain, key
