"""`posthouse doctor`."""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import click

from command.context import actor, data_option, json_option, print_json, run, with_store
from posthouse.doctor.check_result import CheckResult, worst
from posthouse.doctor.outward_judges import judge_settings
from posthouse.domains.findings import FindingState
from posthouse.running.settings import SettingsError
from posthouse.store.examinations import ExaminationStore

_STATUS = {FindingState.WRONG: 1, FindingState.UNKNOWN: 3}


@click.command
@click.option("--local", is_flag=True, help="Ask neither DNS nor any server of the world.")
@click.option(
    "--accept-timeline",
    is_flag=True,
    help="First, take the timeline that PostgreSQL is on as known: see the check `restored`.",
)
@click.option("--all", "show_all", is_flag=True, help="Show what is right, too.")
@json_option
@data_option
def doctor(*, local: bool, accept_timeline: bool, show_all: bool, as_json: bool) -> None:
    """Check the whole installation: what is wrong, why it matters, and what mends it.

    It looks at what the environment of this command names, and changes nothing (but for
    --accept-timeline). Exit status: 0
    nothing is wrong, 1 something is wrong, 3 something could not be looked at and nothing else is
    wrong.
    """
    if accept_timeline and with_store(lambda db: ExaminationStore(db).accept_timeline(actor())):
        click.echo("the timeline that PostgreSQL is on counts as known from now on", err=True)
    results = run(_examine(asks_world=not local))
    if as_json:
        print_json([_as_json(one) for one in results])
    else:
        _print([r for r in results if show_all or r.state is not FindingState.RIGHT])
        click.echo(_conclusion(results))
    sys.exit(_STATUS.get(worst(results), 0))


async def _examine(*, asks_world: bool) -> Sequence[CheckResult]:
    from onebox.installation_plan import opened_plan  # noqa: PLC0415 -- brings every service
    from posthouse.doctor.examination import examine  # noqa: PLC0415
    from posthouse.inspection.inspection import gather_facts  # noqa: PLC0415

    data = click.get_current_context().meta.get("installation")
    try:
        async with opened_plan(os.environ, data, asks_world=asks_world) as plan:
            return examine(await gather_facts(plan))
    except SettingsError as error:  # by which the installation itself would be found
        return tuple(judge_settings(error.mistakes))


def _as_json(result: CheckResult) -> dict[str, Any]:
    return {**asdict(result), "why": result.why}


def _print(results: Iterable[CheckResult]) -> None:
    for one in results:
        click.echo(f"{one.state:8}{one.check:17}{one.subject}")
        click.echo(f"        seen  {one.seen}")
        if one.state is not FindingState.RIGHT:
            click.echo(f"        why   {one.why}")
            click.echo(f"        mend  {one.mend}")


def _conclusion(results: Sequence[CheckResult]) -> str:
    counts = Counter(one.state for one in results)
    return ", ".join(f"{counts[state]} {state}" for state in FindingState)
