"""`posthouse up`: what it was told, and on a new folder what is made there."""

import sys
from collections.abc import Mapping
from contextlib import nullcontext

from onebox.place import NoPlace
from onebox.postgres_data import making_ahead
from onebox.up_settings import read_settings
from posthouse.running.settings import SettingsError


def run_up(environ: Mapping[str, str]) -> int:
    """Run the whole relay until a signal; the exit status."""
    try:
        settings = read_settings(environ)
        settings.place.ensure(settings.ingest.hostname)
        settings = read_settings(environ)  # now with the secret key that may just have been made
    except (SettingsError, NoPlace) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    folder = settings.place.database_folder
    with making_ahead(folder) if folder is not None else nullcontext():
        from onebox.relay import run_relay  # noqa: PLC0415 -- every service: it takes its time

    return run_relay(settings)
