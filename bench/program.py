"""The command: measure, and draw what was measured."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
from bench.children import ROOT
from bench.comparing import compare, makers
from bench.display import Display
from bench.figures import Work
from bench.picture import picture
from bench.report import Results, as_markdown, as_text, notes, table

_NAMES = tuple(makers(1, 1))
_DEFAULT = Work()


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--systems", default=",".join(_NAMES), show_default=True, help="What is measured.")
@click.option("--runs", default=3, show_default=True, help="Of each system, in turn.")
@click.option("--messages", default=_DEFAULT.messages, show_default=True)
@click.option("--connections", default=_DEFAULT.connections, show_default=True, help="Kept ones.")
@click.option("--size", default=_DEFAULT.size, show_default=True, help="Octets of a message.")
@click.option(
    "--paced", default=_DEFAULT.paced_messages, show_default=True, help="Messages at the rate."
)
@click.option("--rate", default=_DEFAULT.rate, show_default=True, help="Messages a second.")
@click.option("--policies", default=1, show_default=True, help="Processes, of split.")
@click.option("--dispatchers", default=1, show_default=True, help="Processes, of split.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("/var/tmp"),  # noqa: S108 -- a new folder is made in it; /tmp may be no disk
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
    """Measure Posthouse beside its peers: the same work for all, on this machine, in turn.

    Ends with status 1 when a run failed, or a message was refused, lost or doubled.
    """
    if context.invoked_subcommand is None:
        sys.exit(measure(**given))


def measure(
    *,
    systems: str,
    runs: int,
    messages: int,
    connections: int,
    size: int,
    paced: int,
    rate: float,
    policies: int,
    dispatchers: int,
    folder: Path,
    results: Path,
) -> int:
    """Run the comparison, print it and keep it; the exit status."""
    makes = makers(policies, dispatchers)
    if unknown := [name for name in systems.split(",") if name not in makes]:
        raise click.BadParameter(f"{', '.join(unknown)}: there are {', '.join(makes)}")
    work = Work(messages, connections, size, paced, rate)
    wanted = [makes[name] for name in systems.split(",")]
    with Display() as display:
        found = asyncio.run(compare(wanted, work, runs, folder, display))
    click.echo(as_text(table(found)))
    click.echo(f"\n{notes(found)}")
    click.echo(f"\nwritten: {keep(found, results)}")
    return 1 if found.faults else 0


def keep(found: Results, folder: Path) -> Path:
    """Write results as JSON and Markdown; the JSON file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{found.date[:19].replace(':', '')}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    path.with_suffix(".md").write_text(f"{as_markdown(table(found))}\n\n{notes(found)}\n")
    return path


@main.command("picture")
@click.argument("results", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target", type=click.Path(dir_okay=False, path_type=Path))
def draw(results: Path, target: Path) -> None:
    """Draw the RESULTS of a measurement (a JSON file) as an SVG picture, TARGET."""
    target.write_text(picture(msgspec.json.decode(results.read_bytes(), type=Results)))
