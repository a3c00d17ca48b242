"""The command: every case in its long form, and the soak."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click

from chaos.display import Display
from chaos.memory import WARM_UP
from chaos.ordeal import Result, Running
from chaos.relay import Onebox, Split
from chaos.report import FOLDER, Surroundings, keep, results_as_markdown
from chaos.series import NAMES, carry_out
from chaos.soak import Regime, full_rate, soak
from chaos.soaked import Soaked
from chaos.stage import CannotRun, Stage
from posthouse.running import logs
from posthouse.running.common_settings import LogLevel

_folder = click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("/var/tmp"),
    show_default=True,
    help="Where data is kept meanwhile: a 250 is worth what this disk is.",
)
_report = click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER,
    help="Where the report is written, as Markdown and JSON. [default: reports]",
)


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--cases", default=",".join(NAMES), show_default=True, help="What is done.")
@click.option("--messages", default=100_000, show_default=True, help="In each case.")
@click.option(
    "--strikes",
    default=20,
    show_default=True,
    help="At each service; a quarter as many at PostgreSQL and RabbitMQ.",
)
@_folder
@_report
@click.pass_context
def main(context: click.Context, /, **given: Any) -> None:
    """Break a relay under load in every way there is, and count what became of the messages.

    Ends with status 1 when a promise was broken, or could not be tried although
    POSTHOUSE_REQUIRE_SERVERS=1 is set.
    """
    logs.configure("chaos", level=LogLevel.WARNING, stream=sys.stderr)
    if context.invoked_subcommand is None:
        sys.exit(asyncio.run(_chaos(**given)))


async def _chaos(*, cases: str, messages: int, strikes: int, folder: Path, report: Path) -> int:
    names = cases.split(",")
    if unknown := [name for name in names if name not in NAMES]:
        raise click.BadParameter(f"{', '.join(unknown)}: there are {', '.join(NAMES)}")
    results: list[Result] = []
    surroundings = Surroundings.now()
    with Display() as display:
        async with Stage(folder) as stage:
            for name in names:
                running = Running(name, messages)
                async with display.showing(running):
                    results.append(await carry_out(stage, name, strikes, running))
                display.done(results[-1])
                path = _keep(report, surroundings.beside(stage.versions), results)
        display.say(f"written: {path}")
    return _status(results)


def _keep(folder: Path, surroundings: Surroundings, results: Sequence[Result]) -> Path:
    """Write the whole report again after each case, so that no result is lost."""
    facts = {"surroundings": surroundings, "results": results}
    text = f"# Chaos\n\n{surroundings.as_markdown()}\n\n{results_as_markdown(results)}\n"
    return keep(folder, f"chaos-{surroundings.name}", facts, text)


def _status(results: Sequence[Result]) -> int:
    required = os.environ.get("POSTHOUSE_REQUIRE_SERVERS") == "1"
    return int(any(result.broken or (required and result.not_run) for result in results))


@main.command("soak")
@click.option("--minutes", default=60.0, show_default=True)
@click.option(
    "--kill-every", default=60.0, show_default=True, help="Seconds; 0: nothing is killed."
)
@click.option(
    "--form",
    type=click.Choice(["split", "onebox"]),
    default="split",
    show_default=True,
    help="In split form each service has a twin that is never killed, to be measured.",
)
@click.option("--rate", default=0.0, help="Messages a second. [default: half of the full rate]")
@click.option(
    "--burst", default=10_000, show_default=True, help="Messages by which the rate is found."
)
@click.option("--warm-up", default=WARM_UP, show_default=True, help="Minutes that no slope counts.")
@_folder
@_report
def soak_command(**given: Any) -> None:
    """Half load for an hour, a kill a minute: nothing is lost, and no process grows.

    The slope of a process is judged after 20 minutes behind its warm-up. Ends with status 1 when a
    promise was broken.
    """
    sys.exit(asyncio.run(_soak(**given)))


async def _soak(
    *,
    minutes: float,
    kill_every: float,
    form: str,
    rate: float,
    burst: int,
    warm_up: int,
    folder: Path,
    report: Path,
) -> int:
    surroundings = Surroundings.now()
    running = Running("full rate", burst)
    with Display() as display:
        async with Stage(folder) as stage, _relay(stage, form) as relay:
            full = 0.0
            if not rate:
                async with display.showing(running):
                    full = await full_rate(relay, burst, running)
            regime = Regime(minutes * 60, kill_every, rate or full / 2, warm_up)
            running = Running(f"soak {form}", int(regime.rate * regime.seconds))
            async with display.showing(running):
                result, memory = await soak(relay, regime, running)
            where = surroundings.beside(stage.versions)
            soaked = Soaked(where, regime, full, result, memory.lives(warm_up))
        display.done(result)
        text = soaked.as_markdown()
        display.say(f"\n{text}\n")
        path = keep(report, f"soak-{where.name}", soaked.facts(), f"{text}\n")
        display.say(f"written: {path}")
    for promise in soaked.broken:
        click.echo(f"BROKEN: {promise}", err=True)
    return int(bool(soaked.broken))


@asynccontextmanager
async def _relay(stage: Stage, form: str) -> AsyncIterator[Onebox | Split]:
    try:
        if form == "onebox":
            async with stage.onebox(form) as onebox:
                yield onebox
        else:
            async with stage.split(form, copies=2) as split:
                yield split
    except CannotRun as reason:
        raise click.ClickException(str(reason)) from reason
