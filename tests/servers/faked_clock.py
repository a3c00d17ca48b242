"""A clock of their own for processes of the tests, which can jump while they run (libfaketime).

Only the time of day is faked: what a process measures by its monotonic clock goes on, as it does
when the clock of a machine is set.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from servers.debian import CannotInstall, install
from servers.missing import missing

_PLACES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/local/lib/faketime/libfaketimeMT.so.1")
_LOOKS_SECONDS = 1
_SITE = Path(__file__).with_name("faked_clock_site")


class FakedClock:
    """The clock of those who are started with `env`; right at first."""

    def __init__(self, file: Path) -> None:
        """Skips, loudly, where there is no libfaketime to be had."""
        self._file = file
        self.env: Mapping[str, str] = {
            "LD_PRELOAD": _library(),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": str(_LOOKS_SECONDS),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
            "PYTHONPATH": os.pathsep.join((str(_SITE), *_python_path())),
        }
        self.be_off_by(timedelta())

    def be_off_by(self, off: timedelta) -> None:
        """Have it show so much more than the time, from a second from now at the latest."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{off.total_seconds():+.0f}\n")
        # For the database too, which may run as somebody else.
        fresh.chmod(0o644)
        fresh.replace(self._file)


def _python_path() -> list[str]:
    return [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]


def _library() -> str:
    try:
        install("faketime", unless=_find)
    except CannotInstall as reason:
        missing("libfaketime", str(reason))
    found = _find()
    if found is None:
        missing("libfaketime", "faketime was installed, but is not where it should be")
    return found


def _find() -> str | None:
    for place in _PLACES:
        for path in sorted(Path("/").glob(place.lstrip("/"))):
            return str(path)
    return None
