"""`posthouse certificate`."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import click

from command.context import data_option, installation, settings
from onebox.certificate_files import make_certificate, other_names, take_certificate
from onebox.installation import Installation
from posthouse.running.certificate import CannotUseCertificate

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group
def certificate() -> None:
    """The certificate in the data folder, for clients and returned mail: make it, replace it.

    Programs that run use a new one within half a minute.
    """


@certificate.command("make")
@data_option
def make() -> None:
    """Make a self-signed certificate for POSTHOUSE_HOSTNAME, in place of the one that is there."""
    where, hostname = installation(), settings().hostname
    with _told():
        make_certificate(where, hostname)
    click.echo(f"made {where.certificate_file} for {hostname}")


@certificate.command("take")
@click.argument("chain", type=_FILE)
@click.argument("key", type=_FILE)
@click.option(
    "--follow",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="Go on, and look that often whether the files have changed.",
)
@data_option
def take(chain: Path, key: Path, follow: float | None) -> None:
    """Use copies of CHAIN and KEY, PEM files that an authority's program renews.

    Files that do not belong together change nothing.
    """
    where = installation()
    with _told():
        _take(where, chain, key)
    if follow:
        _follow(where, chain, key, follow)


def _follow(where: Installation, chain: Path, key: Path, seconds: float) -> NoReturn:
    # As the first process of a container it would not end otherwise.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        time.sleep(seconds)
        try:
            _take(where, chain, key)
        except (CannotUseCertificate, OSError) as error:
            click.echo(f"not taken: {error}", err=True)


def _take(where: Installation, chain: Path, key: Path) -> None:
    if take_certificate(where, chain, key):
        click.echo(f"took {chain} as {where.certificate_file}")
        if others := other_names(chain, settings().hostname):
            click.echo(f"it is for {others}, and not for {settings().hostname}", err=True)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (CannotUseCertificate, OSError) as error:
        raise click.ClickException(str(error)) from error
