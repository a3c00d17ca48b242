"""`posthouse up`: every flag is a setting, and overrides the variable of that name."""

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from onebox.start import run_up

# Flag, the variable that it sets, how its value looks, and what it is for.
_FLAGS = (
    ("--bounce-listen", "BOUNCES_LISTEN", "ADDRESS:PORT", "Where returned mail comes in."),
    ("--tracking-listen", "TRACKING_LISTEN", "ADDRESS:PORT", "For opens, clicks, unsubscribing."),
    ("--console-listen", "CONSOLE_LISTEN", "ADDRESS:PORT", "For what customers ask over HTTP."),
    ("--health-listen", "HEALTH_LISTEN", "ADDRESS:PORT", "For health checks and metrics."),
    ("--hostname", "HOSTNAME", "NAME", "Name the relay gives itself."),
    (
        "--lane-limits",
        "LANE_LIMITS",
        "N,N,N,N,N",
        "For lanes 1 to 5: how many transactions may run for one more of that lane to start.",
    ),
    ("--log-level", "LOG_LEVEL", "LEVEL", "debug, info, warning or error."),
    ("--log-format", "LOG_FORMAT", "FORM", "json, console or auto."),
    ("--grace", "GRACE_SECONDS", "SECONDS", "How long work in flight may take at the end."),
)
_LISTENERS = (
    "Where clients connect; modes are none, opportunistic, starttls_required, implicit. Repeatable."
)
_ROUTES = (
    "Smarthost for all mail (relay.example:25), or DOMAIN=HOST:PORT for one; login and TLS behind "
    "semicolons (docs/operating.md). Repeatable."
)


def _flags(command: Callable[..., None]) -> Callable[..., None]:
    for flag, variable, form, text in reversed(_FLAGS):
        name = variable.lower()
        shown = f"{text}  [env: POSTHOUSE_{variable}]"
        command = click.option(flag, name, metavar=form, help=shown)(command)
    return command


@click.command
@click.option(
    "--data",
    type=click.Path(file_okay=False),
    help="Folder for database, keys and certificate.  [env: POSTHOUSE_DATA; ./data]",
)
@click.option(
    "--listen",
    "ingest_listeners",
    multiple=True,
    metavar="ADDRESS:PORT/MODE",
    help=f"{_LISTENERS}  [env: POSTHOUSE_INGEST_LISTENERS]",
)
@click.option(
    "--route",
    "routes",
    multiple=True,
    metavar="ROUTE",
    help=f"{_ROUTES}  [env: POSTHOUSE_ROUTES]",
)
@_flags
@click.pass_context
def up(ctx: click.Context, /, data: str | None, **flags: Any) -> None:
    """Run the whole relay: SMTP in, SMTP out, returned mail, PostgreSQL and broker included.

    It runs until ctrl-C or SIGTERM and then finishes the work in flight. When it is ready it prints
    one JSON line with its addresses and process ids; logs go to standard error. Port 0 takes any
    free port. `posthouse config reference` lists all settings.
    """
    told = {"data": data or ctx.find_root().params.get("data"), **flags}
    given = {
        f"POSTHOUSE_{name.upper()}": ",".join(value) if isinstance(value, tuple) else value
        for name, value in told.items()
        if value
    }
    sys.exit(run_up({**os.environ, **given}))
