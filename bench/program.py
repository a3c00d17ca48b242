"""The command: measure, and draw the results."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from bench.children import ROOT
from bench.display import Display
from bench.everything import FIGURES, Wanted, forms, measure, systems
from bench.figures import Work
from bench.picture import picture
from bench.report import Results, as_markdown, as_text, whole

from posthouse.running import logs
from posthouse.running.common_settings import LogLevel

_NAMES = tuple(systems(forms()))
_DEFAULT = Work()


def _some_of(
    known: Sequence[str],
) -> Callable[[click.Context, click.Parameter, str], tuple[str, ...]]:
    """Reads names that are separated by commas."""

    def read(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
        names = tuple(value.split(","))
        if unknown := [name for name in names if name not in known]:
            raise click.BadParameter(f"{', '.join(unknown)}: there are {', '.join(known)}")
        return names

    return read


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--systems",
    callback=_some_of(_NAMES),
    default=",".join(_NAMES),
    show_default=True,
    help="What is measured.",
)
@click.option(
    "--figures",
    callback=_some_of(FIGURES),
    default=",".join(FIGURES),
    show_default=True,
    help="systems: all side by side; accept: every way in; the others: scenarios of ours.",
)
@click.option("--runs", default=5, show_default=True, help="Of each, in turn.")
@click.option("-n", "--messages", default=_DEFAULT.messages, show_default=True)
@click.option("--connections", default=_DEFAULT.connections, show_default=True, help="Kept ones.")
@click.option("--size", default=_DEFAULT.size, show_default=True, help="Octets of a message.")
@click.option(
    "--paced", default=_DEFAULT.paced_messages, show_default=True, help="Messages at the rate."
)
@click.option("--rate", default=_DEFAULT.rate, show_default=True, help="Messages a second.")
@click.option(
    "--recipients", default=_DEFAULT.recipients, show_default=True, help="Of each message."
)
@click.option(
    "--scale", default=1.0, show_default=True, help="Of what scenarios do; 0.01 to rehearse them."
)
@click.option("--policies", default=1, show_default=True, help="Processes, of split.")
@click.option("--dispatchers", default=1, show_default=True, help="Processes, of split.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("/var/tmp"),  # noqa: S108 -- a new folder is made in it; /tmp may be in memory
    show_default=True,
    help="Where data is kept meanwhile: a 250 is worth what this disk is.",
)
@click.option(
    "--results",
    type=click.Path(file_okay=False, path_type=Path),
    default=ROOT / "bench" / "results",
    help="Where the results are written. [default: bench/results]",
)
@click.pass_context
def main(context: click.Context, /, **given: Any) -> None:
    """Measure Posthouse beside its peers, and by itself where there is nothing to compare.

    Ends with status 1 when a run failed, or a message was refused, lost or doubled.
    """
    if context.invoked_subcommand is None:
        sys.exit(_measure(**given))


def _measure(
    *,
    messages: int,
    connections: int,
    size: int,
    paced: int,
    rate: float,
    recipients: int,
    results: Path,
    **given: Any,
) -> int:
    """Measure, print and store the results; the exit status."""
    logs.configure("bench", level=LogLevel.WARNING, stream=sys.stderr)
    wanted = Wanted(work=Work(messages, connections, size, paced, rate, recipients), **given)
    with Display() as display:
        found = asyncio.run(measure(wanted, display))
    click.echo(whole(found, as_text))
    click.echo(f"\nwritten: {keep(found, results)}")
    return 1 if found.faults else 0


def keep(found: Results, folder: Path) -> Path:
    """Write results as JSON, Markdown and, where systems were measured, SVG; the JSON file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{found.origin.date[:19].replace(':', '')}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    path.with_suffix(".md").write_text(f"{whole(found, as_markdown)}\n")
    if found.systems:
        path.with_suffix(".svg").write_text(picture(found))
    return path


@main.command("picture")
@click.argument("results", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
def draw(results: Path, target: Path) -> None:
    """Draw the RESULTS of a measurement (a JSON file) as an SVG picture, TARGET."""
    target.write_text(picture(msgspec.json.decode(results.read_bytes(), type=Results)))
