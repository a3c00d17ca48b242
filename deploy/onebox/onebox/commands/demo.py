"""`posthouse demo`."""

import sys
import time
from contextlib import AbstractContextManager, nullcontext

import click

from onebox.demo.script import Story, StoryFailed
from onebox.demo.stage import Stage, StageFailed, compose_stage, local_stage
from onebox.demo.submitting import NotAccepted
from onebox.demo.telling import Teller
from posthouse.running.endpoint import Endpoint


@click.command
@click.option(
    "--compose", is_flag=True, help="Play it on the running stack of docker-compose.yml instead."
)
@click.option(
    "--submission", default="127.0.0.1:2587", show_default=True, help="With --compose: STARTTLS."
)
@click.option(
    "--report", default="127.0.0.1:2680", show_default=True, help="With --compose: the sink's HTTP."
)
def demo(submission: str, report: str, *, compose: bool) -> None:
    """Run a whole relay, send mail through it in several lanes, and show what becomes of it.

    It ends by itself: with status 0 when everything that it claims was seen to be so.
    """
    teller = Teller()
    begun = time.monotonic()
    stage: AbstractContextManager[Stage]
    try:
        if compose:
            stage = nullcontext(compose_stage(Endpoint.parse(submission), Endpoint.parse(report)))
        else:
            teller.step("A whole relay: PostgreSQL, broker and four services in one process")
            stage = local_stage()
        with stage as place:
            teller.fact(f"it takes mail at {place.submission}")
            good = Story(place, teller).perform()
    except (StageFailed, StoryFailed, NotAccepted, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"\nThis took {time.monotonic() - begun:.0f} s.")
    sys.exit(0 if good else 1)
