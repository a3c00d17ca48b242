"""`posthouse up`: what it was told, and on a new folder what is made there."""

import asyncio
import sys
from collections.abc import Mapping
from contextlib import nullcontext

from onebox.all_settings import read_settings
from onebox.installation import NoInstallation
from onebox.postgres_data import initdb_ahead
from posthouse.running.settings import SettingsError
from posthouse.store import StoreUnavailable


def run_up(environ: Mapping[str, str]) -> int:
    """Run the whole relay until a signal; the exit status."""
    try:
        settings = read_settings(environ)
        asyncio.run(settings.installation.refuse_lost_key())
        settings.installation.ensure(settings.ingest.hostname)
        settings = read_settings(environ)  # now with the secret key that may just have been made
    except (SettingsError, NoInstallation) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except StoreUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    folder = settings.installation.database_folder
    with initdb_ahead(folder) if folder is not None else nullcontext():
        from onebox.parent import run_relay  # noqa: PLC0415 -- every service: it takes its time

    return run_relay(settings, environ)
