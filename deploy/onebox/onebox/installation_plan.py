"""What the doctor looks at: all that the settings of the whole relay name."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from dispatcher.route_facts import route_facts
from onebox.all_settings import UpSettings, known_names, read_settings
from onebox.installation import Installation, NoInstallation
from onebox.installation_settings import InstallationSettings
from onebox.postgres_binaries import PostgresError
from onebox.postgres_data import data_of
from onebox.postgres_folder import dsn
from posthouse.inspection.inspection import InspectionPlan, SecretPath
from posthouse.running.settings import PREFIX, SettingsError, load
from posthouse.store import StoreUnavailable


def installation_plan(
    own: InstallationSettings, where: Installation, environ: Mapping[str, str], url: str
) -> InspectionPlan:
    """What can be looked at even where the settings of services cannot be used."""
    return InspectionPlan(
        hostname=own.hostname,
        database_url=url,
        secret_key=_secret_key(where),
        secrets=tuple(_secrets(where, environ)),
        disks=tuple(path for path in (where.folder,) if path.exists()),
        nameservers=own.nameservers,
        blocklists=own.blocklists,
        probe_domains=own.probe_domains,
        spf_include=own.spf_include,
    )


def with_services(plan: InspectionPlan, told: UpSettings) -> InspectionPlan:
    """The same with what the settings of the services name."""
    return replace(
        plan,
        hostname=told.dispatcher.hostname,
        broker_urls=tuple(one.get_secret_value() for one in told.broker_url or ()),
        routes=route_facts(told.dispatcher.routes),
        certificates=tuple(dict.fromkeys(_certificates(told))),
    )


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
    if where.database_url is None and not data_of(where.postgres_folder).exists():
        raise NoInstallation(f"there is no Posthouse in {where.folder.absolute()}")
    async with AsyncExitStack() as stack:
        url = await _database_url(where, stack)
        plan = replace(installation_plan(own, where, environ, url), asks_world=asks_world)
        try:
            told = read_settings({**environ, f"{PREFIX}DATA": str(where.folder)})
        except SettingsError as error:
            yield replace(plan, mistakes=tuple(error.mistakes))
        else:
            yield replace(with_services(plan, told), mistakes=())


async def _database_url(where: Installation, stack: AsyncExitStack) -> str:
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


def _secrets(where: Installation, environ: Mapping[str, str]) -> Iterator[SecretPath]:
    """Every file with a secret in it that a setting names, and the folder."""
    named = {n: v for n, v in environ.items() if n.startswith(PREFIX) and n.endswith("_FILE") and v}
    if where.folder.exists():
        yield SecretPath(where.folder, folder=True)
        # Where there is no folder, a program has the key by its settings or needs none.
        if where.given_key is None and f"{PREFIX}SECRET_KEY_FILE" not in named:
            yield SecretPath(where.secret_key_file)
    for path in dict.fromkeys(named.values()):
        yield SecretPath(Path(path))
    if where.certificate_key_file.exists():
        yield SecretPath(where.certificate_key_file)


def _certificates(told: UpSettings) -> Iterator[tuple[Path, Path]]:
    """Those that settings name; the one in the folder only where it is."""
    chains, keys = told.ingest.ingest_tls_certificate, told.ingest.ingest_tls_key
    pairs = list(zip_longest(chains, keys or chains))
    own = told.bounces.bounces_tls_certificate
    if own is not None:
        pairs.append((own, told.bounces.bounces_tls_key or own))
    for chain, key in pairs:
        if chain != told.installation.certificate_file or chain.exists():
            yield chain, key
